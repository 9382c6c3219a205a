-- Takes the demo shop away.
DROP TABLE IF EXISTS public.events, public.reviews, public.payments, public.order_items, public.orders, public.products, public.customers;
DROP TYPE IF EXISTS public.order_status;
