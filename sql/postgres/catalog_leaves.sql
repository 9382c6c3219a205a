-- The tables that hold the rows of a table: itself, or the leaves of a partitioned one.
WITH RECURSIVE
tree (oid) AS (
    SELECT $1::oid
    UNION ALL
    SELECT i.inhrelid
    FROM tree
    JOIN pg_catalog.pg_class parent ON parent.oid = tree.oid AND parent.relkind = 'p'
    JOIN pg_catalog.pg_inherits i ON i.inhparent = parent.oid AND NOT i.inhdetachpending
)
SELECT
    c.oid AS relid,
    n.nspname::text AS schema,
    c.relname::text AS name,
    pg_catalog.pg_relation_size(c.oid, 'main') / current_setting('block_size')::bigint AS pages,
    pg_catalog.pg_relation_filenode(c.oid) AS file_node
FROM tree
JOIN pg_catalog.pg_class c ON c.oid = tree.oid AND c.relkind = 'r'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
ORDER BY c.oid
