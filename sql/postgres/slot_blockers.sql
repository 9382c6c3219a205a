-- Transactions that the making of a slot waits for: running writers and prepared ones.
SELECT 'pid ' || pid AS who,
       extract(epoch FROM now() - xact_start)::bigint AS seconds,
       coalesce(left(query, 120), '') AS query
FROM pg_catalog.pg_stat_activity
WHERE backend_xid IS NOT NULL AND pid <> pg_catalog.pg_backend_pid() AND backend_type <> 'walsender'
UNION ALL
SELECT 'prepared transaction ' || quote_literal(gid), extract(epoch FROM now() - prepared)::bigint, ''
FROM pg_catalog.pg_prepared_xacts
WHERE database = pg_catalog.current_database()
ORDER BY 2 DESC
