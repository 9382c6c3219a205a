-- The tables that the publication $1 names itself and sends only in part: by a row filter, or some columns, by their numbers (none: all of them).
-- Both are known since Postgres 15; as JSON, the columns of the catalog may be missing.
SELECT entry.prrelid AS relation,
       to_jsonb(entry) ->> 'prqual' IS NOT NULL AS filtered,
       ARRAY(
           SELECT number::int2
           FROM jsonb_array_elements_text(coalesce(nullif(to_jsonb(entry) -> 'prattrs', 'null'), '[]')) AS number
       ) AS columns
FROM pg_catalog.pg_publication_rel AS entry
JOIN pg_catalog.pg_publication AS publication ON publication.oid = entry.prpubid
WHERE publication.pubname = $1
    AND (to_jsonb(entry) ->> 'prqual' IS NOT NULL OR to_jsonb(entry) ->> 'prattrs' IS NOT NULL)
