-- Empties the demo shop and starts its keys at 1 again.
TRUNCATE public.customers, public.products, public.orders, public.order_items, public.payments, public.reviews, public.events
    RESTART IDENTITY;
