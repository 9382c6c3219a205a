-- How many sessions hold a pipeline's lock.
SELECT count(*)
FROM pg_catalog.pg_locks
WHERE locktype = 'advisory' AND classid = 1885957219 AND granted
  AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND objid = (pg_catalog.hashtext($1)::bigint & 4294967295)::oid
