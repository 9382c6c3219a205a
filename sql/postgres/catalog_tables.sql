-- The tables of this database, partitioned ones by their root. $1: the oid of a single table (a partition too), or null for all.
-- $2: whether to measure sizes, which waits while somebody holds a table exclusively; otherwise they are the planner's.
-- The replica identity of a partitioned table is what its leaves have: it is their rows that are logged.
WITH RECURSIVE
roots AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident, c.relnatts
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p')
      AND n.nspname <> 'information_schema'
      AND n.nspname NOT LIKE 'pg\_%'
      AND CASE WHEN $1::oid IS NULL THEN NOT c.relispartition ELSE c.oid = $1::oid END
),
tree (root, oid) AS (
    SELECT oid, oid FROM roots
    UNION ALL
    SELECT tree.root, i.inhrelid
    FROM tree
    JOIN pg_catalog.pg_class parent ON parent.oid = tree.oid AND parent.relkind = 'p'
    JOIN pg_catalog.pg_inherits i ON i.inhparent = parent.oid AND NOT i.inhdetachpending
),
leaves AS (
    SELECT
        tree.root,
        sum(greatest(c.reltuples, 0)::float8) AS estimated_rows,
        sum(CASE WHEN $2::boolean THEN pg_catalog.pg_table_size(c.oid)
                 ELSE (c.relpages::bigint + coalesce(toast.relpages, 0)) * current_setting('block_size')::bigint END) AS bytes,
        bool_or(c.relpersistence <> 'p') AS unlogged,
        bool_and(c.relreplident = 'f') AS full_rows,
        bool_and(c.relreplident IN ('d', 'f')) AS primary_keys,
        bool_and(c.relreplident = 'i') AS indexes
    FROM tree
    JOIN pg_catalog.pg_class c ON c.oid = tree.oid AND c.relkind = 'r'
    LEFT JOIN pg_catalog.pg_class toast ON toast.oid = c.reltoastrelid
    GROUP BY tree.root
),
tables AS (
    SELECT
        roots.*,
        leaves.estimated_rows,
        leaves.bytes,
        roots.relpersistence <> 'p' OR coalesce(leaves.unlogged, false) AS unlogged,
        CASE
            WHEN leaves.root IS NULL THEN roots.relreplident::text
            WHEN leaves.full_rows THEN 'f'
            WHEN leaves.primary_keys THEN 'd'
            WHEN leaves.indexes AND roots.relreplident = 'i' THEN 'i'
            ELSE 'n'
        END AS identity
    FROM roots
    LEFT JOIN leaves ON leaves.root = roots.oid
)
SELECT
    t.oid AS relid,
    t.nspname::text AS schema,
    t.relname::text AS name,
    t.relkind = 'p' AS partitioned,
    t.relnatts AS newest_column,
    t.unlogged,
    t.identity,
    identity_index.name AS identity_index,
    coalesce(identity_index.key, ARRAY[]::int2[]) AS key,
    coalesce(t.estimated_rows, 0)::bigint AS estimated_rows,
    coalesce(t.bytes, 0)::bigint AS bytes
FROM tables t
LEFT JOIN LATERAL (
    SELECT
        c.relname::text AS name,
        (SELECT array_agg(k.number ORDER BY k.place)
         FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
         WHERE k.place <= i.indnkeyatts) AS key
    FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = t.oid
      AND i.indimmediate
      AND i.indisvalid
      AND CASE t.identity WHEN 'i' THEN i.indisreplident WHEN 'n' THEN false ELSE i.indisprimary END
) identity_index ON true
ORDER BY t.nspname, t.relname
