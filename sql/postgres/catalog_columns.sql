-- The columns of all tables that catalog_tables.sql lists. $1: the oid of a single table, or null for all.
-- `base` is the declared type with its domains taken off; `held` goes on through an array to the type of its elements.
-- What rows older than a column answer is stored with each leaf of a partitioned table, never with its root.
WITH RECURSIVE
columns AS (
    SELECT a.*
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE a.attnum > 0
      AND NOT a.attisdropped
      AND c.relkind IN ('r', 'p')
      AND n.nspname <> 'information_schema'
      AND n.nspname NOT LIKE 'pg\_%'
      AND CASE WHEN $1::oid IS NULL THEN NOT c.relispartition ELSE c.oid = $1::oid END
),
step (declared, oid, modifier, not_null, dimensions, arrays, depth) AS (
    SELECT DISTINCT atttypid, atttypid, NULL::int, false, 0, 0, 0 FROM columns
    UNION ALL
    SELECT
        s.declared,
        CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.typelem END,
        CASE t.typtype WHEN 'd' THEN t.typtypmod ELSE s.modifier END,
        s.not_null OR (t.typnotnull AND s.arrays = 0),
        greatest(s.dimensions, t.typndims),
        s.arrays + CASE t.typtype WHEN 'd' THEN 0 ELSE 1 END,
        s.depth + 1
    FROM step s
    JOIN pg_catalog.pg_type t ON t.oid = s.oid
    LEFT JOIN pg_catalog.pg_type element ON element.oid = t.typelem
    WHERE t.typtype = 'd' OR element.typarray = t.oid
),
base AS (
    SELECT DISTINCT ON (declared) * FROM step WHERE arrays = 0 ORDER BY declared, depth DESC
),
held AS (
    SELECT DISTINCT ON (declared) * FROM step ORDER BY declared, depth DESC
),
tree (root, oid) AS (
    SELECT c.oid, c.oid FROM pg_catalog.pg_class c WHERE c.relkind = 'p' AND c.oid IN (SELECT attrelid FROM columns)
    UNION ALL
    SELECT tree.root, i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid
),
missing (relid, name, value, delimiter) AS (
    SELECT DISTINCT ON (coalesce(tree.root, a.attrelid), a.attname)
        coalesce(tree.root, a.attrelid), a.attname, a.attmissingval::text, t.typdelim
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    LEFT JOIN tree ON tree.oid = a.attrelid
    WHERE a.atthasmissing
      AND NOT a.attisdropped
      AND (tree.oid IS NOT NULL OR a.attrelid IN (SELECT attrelid FROM columns))
    ORDER BY coalesce(tree.root, a.attrelid), a.attname, a.attrelid
)
SELECT
    a.attrelid AS relid,
    a.attname::text AS name,
    a.attnum AS number,
    a.atttypid AS type_oid,
    a.atttypmod AS type_modifier,
    pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_name,
    held_type.oid AS held_oid,
    held_type.typname::text AS held_name,
    held_type.typtype = 'e' AS held_is_enum,
    extension.extname::text AS held_extension,
    coalesce(held.modifier, a.atttypmod) AS held_modifier,
    held.arrays AS arrays,
    greatest(a.attndims::int, held.dimensions) AS dimensions,
    pg_catalog.format('%I.%I', output_schema.nspname, output.proname) AS output_function,
    a.attnotnull OR base.not_null AS not_null,
    a.attgenerated <> '' AS generated,
    a.attstorage <> 'p' AND a.attlen = -1 AS toastable,
    -- The missing value is the one element of an array, quoted where it contains the type's own delimiter.
    CASE
        WHEN missing.delimiter = ',' OR missing.value LIKE '{"%' THEN (missing.value::text[])[1]
        ELSE pg_catalog.substr(missing.value, 2, pg_catalog.length(missing.value) - 2)
    END AS missing_value
FROM columns a
JOIN base ON base.declared = a.atttypid
JOIN pg_catalog.pg_type base_type ON base_type.oid = base.oid
JOIN pg_catalog.pg_proc output ON output.oid = base_type.typoutput
JOIN pg_catalog.pg_namespace output_schema ON output_schema.oid = output.pronamespace
JOIN held ON held.declared = a.atttypid
JOIN pg_catalog.pg_type held_type ON held_type.oid = held.oid
LEFT JOIN pg_catalog.pg_depend membership
    ON membership.classid = 'pg_catalog.pg_type'::regclass
   AND membership.objid = held_type.oid
   AND membership.refclassid = 'pg_catalog.pg_extension'::regclass
   AND membership.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension extension ON extension.oid = membership.refobjid
LEFT JOIN missing ON missing.relid = a.attrelid AND missing.name = a.attname
ORDER BY a.attrelid, a.attnum
