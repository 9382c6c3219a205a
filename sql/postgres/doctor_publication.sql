-- The publication $1: whose it is and what it publishes.
SELECT to_jsonb(facts)
FROM (
    SELECT
        pg_has_role(pubowner, 'USAGE') AS owned,
        pg_get_userbyid(pubowner) AS owner,
        puballtables AS all_tables,
        pubinsert AS inserts,
        pubupdate AS updates,
        pubdelete AS deletes,
        pubtruncate AS truncates,
        pubviaroot AS via_root
    FROM pg_publication
    WHERE pubname = $1
) AS facts;
