-- The products from this key on, at most so many, with their price in hundredths.
SELECT id, (price * 100)::bigint FROM public.products WHERE id >= $1 ORDER BY id LIMIT $2
