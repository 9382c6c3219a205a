-- Which publications of these names there are, and whether pipectl noted in them that it made them.
SELECT p.pubname::text, coalesce(pg_catalog.obj_description(p.oid, 'pg_publication') = 'made by pipectl', false)
FROM pg_catalog.pg_publication AS p
WHERE p.pubname = ANY ($1::text[])
ORDER BY p.pubname
