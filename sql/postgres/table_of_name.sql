-- The table of a name, as its oid; of a partition the table that it is a part of.
SELECT coalesce(pg_catalog.pg_partition_root(c.oid)::oid, c.oid) AS relid
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')
