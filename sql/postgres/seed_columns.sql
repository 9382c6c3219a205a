-- A table's columns as far as made-up values need them: domains resolved to the type below them, arrays to that of their elements.
WITH RECURSIVE held AS (
    SELECT a.attnum, a.atttypid AS type, a.atttypmod AS modifier, a.attnotnull AS not_null
    FROM pg_attribute a
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT held.attnum, t.typbasetype, t.typtypmod, held.not_null OR t.typnotnull
    FROM held
    JOIN pg_type t ON t.oid = held.type AND t.typtype = 'd'
)
SELECT a.attnum AS number,
       a.attname::text AS name,
       format_type(a.atttypid, a.atttypmod) AS declared,
       coalesce(element.typname, base.typname)::text AS type,
       element.oid IS NOT NULL AS is_array,
       held.modifier,
       held.not_null,
       CASE WHEN a.attgenerated <> '' THEN 'always'
            WHEN a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%' THEN 'sequence'
            WHEN a.atthasdef THEN 'default'
            ELSE 'not'
       END AS filled,
       pg_get_serial_sequence(quote_ident(n.nspname) || '.' || quote_ident(c.relname), a.attname::text) AS sequence,
       ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = coalesce(element.oid, base.oid) ORDER BY e.enumsortorder)
           AS labels
FROM held
JOIN pg_attribute a ON a.attrelid = $1 AND a.attnum = held.attnum
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type base ON base.oid = held.type AND base.typtype <> 'd'
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_type element ON element.oid = base.typelem AND base.typcategory = 'A' AND element.typtype <> 'd'
ORDER BY a.attnum
