-- Processes that read a pipeline's topics share its lock; one that reads the slot itself keeps them out. Answers who holds it where it is taken.
SELECT pg_catalog.pg_try_advisory_lock_shared(1885957219, pg_catalog.hashtext($1)) AS taken,
       pg_catalog.pg_backend_pid() AS own,
       (SELECT pid FROM pg_catalog.pg_locks
        WHERE locktype = 'advisory' AND classid = 1885957219 AND granted
          AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
          AND objid = (pg_catalog.hashtext($1)::bigint & 4294967295)::oid AND pid <> pg_catalog.pg_backend_pid()
        LIMIT 1) AS holder
