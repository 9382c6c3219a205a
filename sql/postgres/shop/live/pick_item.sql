-- A line of the order of this key, or of the next one that has any.
SELECT order_id, line FROM public.order_items WHERE order_id >= $1 ORDER BY order_id, line LIMIT 1
