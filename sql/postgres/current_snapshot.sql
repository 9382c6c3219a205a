-- Which transactions the snapshot of this one shows.
SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text AS snapshot
