-- The foreign keys of a table: its columns, the table that they refer to, and that table's columns, in the same order.
SELECT k.conname::text AS name,
       k.conkey AS columns,
       n.nspname::text AS parent_schema,
       c.relname::text AS parent_name,
       k.confrelid = k.conrelid AS to_itself,
       ARRAY(SELECT a.attname::text
             FROM unnest(k.confkey) WITH ORDINALITY AS key (number, place)
             JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = key.number
             ORDER BY key.place) AS parent_columns
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.confrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.conrelid = $1 AND k.contype = 'f'
-- A partitioned parent adds a constraint for each of its partitions; the one to the parent is enough.
  AND k.conparentid = 0
ORDER BY k.oid
