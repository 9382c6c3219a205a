-- A publication, and the tables it names itself (not those that a pattern or a partition brings in).
SELECT p.puballtables AS all_tables,
       p.pubviaroot AS via_root,
       p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AS whole,
       p.pubinsert AS inserts,
       coalesce(pg_catalog.obj_description(p.oid, 'pg_publication') = 'made by pipectl', false) AS ours,
       pg_catalog.pg_get_userbyid(p.pubowner)::text = current_user AS own,
       coalesce((SELECT array_agg(r.prrelid ORDER BY r.prrelid) FROM pg_catalog.pg_publication_rel AS r WHERE r.prpubid = p.oid), '{}')
           AS relations,
       coalesce((SELECT array_agg(t.schemaname || '.' || t.tablename) FROM pg_catalog.pg_publication_tables AS t WHERE t.pubname = p.pubname), '{}')
           AS tables
FROM pg_catalog.pg_publication AS p
WHERE p.pubname = $1
