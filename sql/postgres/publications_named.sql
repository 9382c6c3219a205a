-- Which publications of these names there are.
SELECT pubname::text FROM pg_catalog.pg_publication WHERE pubname = ANY ($1::text[]) ORDER BY pubname
