-- All publications of the database.
SELECT pubname::text FROM pg_catalog.pg_publication ORDER BY pubname
