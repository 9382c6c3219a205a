-- A product gets another price, in hundredths, and remembers that it did.
UPDATE public.products
SET price = ($2::bigint / 100.0)::numeric(10, 2), attributes = attributes || jsonb_build_object('previous_price', price)
WHERE id = $1
