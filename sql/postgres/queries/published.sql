-- What each publication sends, table by table.
SELECT p.pubname AS publication,
       pg_get_userbyid(p.pubowner) AS owner,
       format('%I.%I', t.schemaname, t.tablename) AS "table",
       concat_ws(', ',
                 CASE WHEN p.pubinsert THEN 'insert' END,
                 CASE WHEN p.pubupdate THEN 'update' END,
                 CASE WHEN p.pubdelete THEN 'delete' END,
                 CASE WHEN p.pubtruncate THEN 'truncate' END) AS sends
FROM pg_publication AS p
LEFT JOIN pg_publication_tables AS t ON t.pubname = p.pubname
ORDER BY p.pubname, t.schemaname, t.tablename;
