-- An order without lines and payments.
DELETE FROM public.orders WHERE id = $1
