-- An order is paid.
UPDATE public.orders SET status = 'paid' WHERE id = $1
