-- Which of the shop's names are taken, and whether by the shop itself: its tables carry a comment.
SELECT c.relname::text AS name,
       coalesce(obj_description(c.oid, 'pg_class') = 'pipectl demo shop' AND c.relkind = 'r', false) AS ours
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace
  AND c.relname IN ('customers', 'products', 'orders', 'order_items', 'payments', 'reviews', 'events')
ORDER BY c.relname;
