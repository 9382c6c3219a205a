-- What Postgres sends of the old row when one is changed or deleted, table by table. A table without a key and with the default identity can
-- not be followed, and once it is published its UPDATE and DELETE fail.
SELECT format('%I.%I', n.nspname, c.relname) AS "table",
       CASE c.relreplident
           WHEN 'd' THEN CASE WHEN p.indexrelid IS NULL THEN 'nothing: no primary key' ELSE 'the primary key' END
           WHEN 'i' THEN 'the key of the index ' || i.indexrelid::regclass
           WHEN 'f' THEN 'the whole row'
           WHEN 'n' THEN 'nothing'
       END AS sends
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_index AS p ON p.indrelid = c.oid AND p.indisprimary
LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisreplident
WHERE c.relkind IN ('r', 'p')
  AND c.relpersistence = 'p'
  AND n.nspname <> 'information_schema'
  AND n.nspname NOT LIKE 'pg\_%'
ORDER BY n.nspname, c.relname;
