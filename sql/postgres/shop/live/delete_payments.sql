-- All payments of an order.
DELETE FROM public.payments WHERE order_id = $1
