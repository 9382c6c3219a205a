-- Which columns of a table must differ together from row to row. An index on an expression is taken for one on the columns in it.
SELECT i.indexrelid::regclass::text AS name,
       CASE WHEN i.indexprs IS NULL
            THEN (i.indkey::smallint[])[0:i.indnkeyatts - 1]
            ELSE ARRAY(SELECT DISTINCT d.refobjsubid::smallint
                       FROM pg_depend d
                       WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
                         AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid > 0)
       END AS columns
FROM pg_index i
WHERE i.indrelid = $1 AND i.indisunique
ORDER BY i.indisprimary DESC, i.indexrelid
