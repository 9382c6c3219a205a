-- All lines of an order.
DELETE FROM public.order_items WHERE order_id = $1
