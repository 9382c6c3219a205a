-- Tells the planner, and whoever asks the catalog, how much there is now.
ANALYZE public.customers, public.products, public.orders, public.order_items, public.payments, public.reviews, public.events;
