-- Tables that the publication $1 sends only in part: by a row filter or by a list of columns, both known since Postgres 15.
SELECT to_jsonb(facts)
FROM (
    SELECT
        namespace.nspname AS schema,
        class.relname AS name,
        to_jsonb(entry) ->> 'prqual' IS NOT NULL AS filtered,
        to_jsonb(entry) ->> 'prattrs' IS NOT NULL AS columns_listed
    FROM pg_publication_rel AS entry
    JOIN pg_publication AS publication ON publication.oid = entry.prpubid
    JOIN pg_class AS class ON class.oid = entry.prrelid
    JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
    WHERE publication.pubname = $1
        AND (to_jsonb(entry) ->> 'prqual' IS NOT NULL OR to_jsonb(entry) ->> 'prattrs' IS NOT NULL)
    ORDER BY 1, 2
) AS facts;
