-- The publication of the demo shop, as pipectl makes it by itself where its role owns the tables. Where it does not, the owner runs this, and
-- pipectl takes the publication as it is.
CREATE PUBLICATION pipectl_shop
    FOR TABLE public.customers, public.events, public.order_items, public.orders, public.payments, public.products, public.reviews
    WITH (publish_via_partition_root = true);
