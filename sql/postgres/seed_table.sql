-- The table of a schema and a name, and what kind of relation it is.
SELECT c.oid, c.relkind::text AS kind
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2
