-- The event of this key, or the next one that is there.
SELECT id FROM public.events WHERE id >= $1 ORDER BY id LIMIT 1
