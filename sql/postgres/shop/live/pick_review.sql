-- The review of this key, or the next one that is there.
SELECT id FROM public.reviews WHERE id >= $1 ORDER BY id LIMIT 1
