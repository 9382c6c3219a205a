-- A line goes to the end of its order: another key.
UPDATE public.order_items
SET line = (SELECT max(line) + 1 FROM public.order_items WHERE order_id = $1)
WHERE order_id = $1 AND line = $2
