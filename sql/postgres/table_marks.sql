-- What changes in the catalog when a table changes, also where the stream says nothing of it. $1: the oid of a single table, or null for all.
-- A row for each table that holds rows: the table itself, or a leaf of a partitioned one. `attributes` changes with every ALTER of a column, and neither
-- with VACUUM FULL and CLUSTER nor with TRUNCATE, which change `file_node` as a rewriting ALTER does. All of it is of one snapshot: pg_relation_filenode()
-- would answer of a later moment, and a rewrite between the two would pass for a VACUUM FULL.
WITH RECURSIVE
roots AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p')
      AND c.relpersistence = 'p'
      AND NOT c.relispartition
      AND n.nspname <> 'information_schema'
      AND n.nspname NOT LIKE 'pg\_%'
      AND ($1::oid IS NULL OR c.oid = $1::oid)
),
tree (root, oid) AS (
    SELECT oid, oid FROM roots
    UNION ALL
    SELECT tree.root, i.inhrelid
    FROM tree
    JOIN pg_catalog.pg_class parent ON parent.oid = tree.oid AND parent.relkind = 'p'
    JOIN pg_catalog.pg_inherits i ON i.inhparent = parent.oid AND NOT i.inhdetachpending
),
attributes AS (
    SELECT a.attrelid, pg_catalog.md5(string_agg(a.attnum::text || ':' || a.xmin::text, ',' ORDER BY a.attnum)) AS mark
    FROM pg_catalog.pg_attribute a
    WHERE a.attnum > 0 AND a.attrelid IN (SELECT oid FROM tree)
    GROUP BY a.attrelid
),
keys AS (
    SELECT
        i.indrelid,
        string_agg(i.indexrelid::text || ':' || i.indkey::text || ':' || i.indisprimary::text || i.indisreplident::text || i.indisvalid::text, ','
                   ORDER BY i.indexrelid) AS mark
    FROM pg_catalog.pg_index i
    WHERE i.indisunique AND i.indrelid IN (SELECT oid FROM roots)
    GROUP BY i.indrelid
)
SELECT
    roots.oid AS relid,
    roots.nspname::text AS schema,
    roots.relname::text AS name,
    pg_catalog.md5(pg_catalog.concat_ws('/', roots.nspname, roots.relname, roots.relreplident, root_attributes.mark, keys.mark)) AS definition,
    leaf.oid AS leaf,
    coalesce(leaf.relfilenode, 0) AS file_node,
    coalesce(attributes.mark, '') AS attributes
FROM roots
LEFT JOIN attributes root_attributes ON root_attributes.attrelid = roots.oid
LEFT JOIN keys ON keys.indrelid = roots.oid
LEFT JOIN tree ON tree.root = roots.oid
LEFT JOIN pg_catalog.pg_class leaf ON leaf.oid = tree.oid AND leaf.relkind = 'r'
LEFT JOIN attributes ON attributes.attrelid = leaf.oid
ORDER BY roots.oid, leaf.oid
