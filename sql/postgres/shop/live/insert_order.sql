-- A new order; the total in hundredths.
INSERT INTO public.orders (customer_id, currency, total, gift, note)
VALUES ($1, $2, ($3::bigint / 100.0)::numeric(12, 2), $4, $5)
RETURNING id
