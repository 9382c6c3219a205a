-- The shop as it is in Postgres now: FINAL shows of each key the newest version, and none that was deleted.
SELECT status, count() AS orders, sum(total) AS revenue
FROM shop.orders FINAL
GROUP BY status
ORDER BY revenue DESC;
