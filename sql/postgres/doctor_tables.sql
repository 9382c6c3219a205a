-- Every table of the database with what decides whether its changes can be carried; $1 is the publication, $2 the one of tables
-- without a key, whose inserts alone are sent.
-- A table counts as published where the publication names it, a partitioned table above it or one of its partitions.
WITH published AS MATERIALIZED (
    SELECT class.oid
    FROM pg_publication_tables AS entry
    JOIN pg_namespace AS namespace ON namespace.nspname = entry.schemaname
    JOIN pg_class AS class ON class.relnamespace = namespace.oid AND class.relname = entry.tablename
    WHERE entry.pubname = $1
),
published_inserts AS MATERIALIZED (
    SELECT class.oid
    FROM pg_publication_tables AS entry
    JOIN pg_namespace AS namespace ON namespace.nspname = entry.schemaname
    JOIN pg_class AS class ON class.relnamespace = namespace.oid AND class.relname = entry.tablename
    WHERE entry.pubname = $2
),
covered AS MATERIALIZED (
    SELECT oid FROM published
    UNION
    SELECT tree.relid FROM published CROSS JOIN LATERAL pg_partition_tree(published.oid) AS tree
    UNION
    SELECT tree.relid FROM published CROSS JOIN LATERAL pg_partition_ancestors(published.oid) AS tree
)
SELECT to_jsonb(facts)
FROM (
    SELECT
        namespace.nspname AS schema,
        class.relname AS name,
        class.relkind = 'p' AS partitioned,
        class.relispartition AS partition,
        root_namespace.nspname AS root_schema,
        root.relname AS root_name,
        class.relpersistence = 'u' AS unlogged,
        class.oid IN (SELECT oid FROM covered) AS published,
        class.oid IN (SELECT oid FROM published_inserts) AS published_inserts,
        CASE class.relreplident WHEN 'd' THEN 'default' WHEN 'i' THEN 'index' WHEN 'f' THEN 'full' ELSE 'nothing' END AS identity,
        EXISTS (
            SELECT
            FROM pg_index AS index
            WHERE index.indrelid = class.oid
                AND index.indisvalid
                AND index.indimmediate
                AND CASE class.relreplident WHEN 'd' THEN index.indisprimary WHEN 'i' THEN index.indisreplident ELSE false END
        ) AS identity_has_key,
        EXISTS (
            SELECT FROM pg_index AS index WHERE index.indrelid = class.oid AND index.indisprimary AND index.indimmediate
        ) AS has_key,
        EXISTS (
            SELECT FROM pg_index AS index WHERE index.indrelid = class.oid AND index.indisprimary AND NOT index.indimmediate
        ) AS deferrable_key,
        ARRAY(
            SELECT attribute.attname
            FROM pg_index AS index
            JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid AND attribute.attnum = ANY (index.indkey)
            WHERE index.indrelid = class.oid
                AND CASE class.relreplident WHEN 'i' THEN index.indisreplident ELSE index.indisprimary END
        ) AS key_columns,
        pg_has_role(class.relowner, 'USAGE') AS owned,
        pg_get_userbyid(class.relowner) AS owner,
        has_schema_privilege(namespace.oid, 'USAGE') AS schema_usable,
        has_schema_privilege(namespace.oid, 'USAGE') AND has_table_privilege(class.oid, 'SELECT') AS readable,
        row_security_active(class.oid) AS row_security,
        ARRAY(
            SELECT attname
            FROM pg_attribute
            WHERE attrelid = class.oid AND attnum > 0 AND NOT attisdropped AND attstorage <> 'p' AND atttypid <> 'numeric'::regtype
            ORDER BY attnum
        ) AS long_columns,
        ARRAY(
            SELECT attname
            FROM pg_attribute
            WHERE attrelid = class.oid AND attnum > 0 AND NOT attisdropped AND attgenerated <> ''
            ORDER BY attnum
        ) AS generated_columns,
        pg_table_size(class.oid)::bigint AS bytes
    FROM pg_class AS class
    JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
    LEFT JOIN pg_class AS root ON class.relispartition AND root.oid = pg_partition_root(class.oid)
    LEFT JOIN pg_namespace AS root_namespace ON root_namespace.oid = root.relnamespace
    WHERE class.relkind IN ('r', 'p')
        AND class.relpersistence <> 't'
        AND namespace.nspname <> 'information_schema'
        AND namespace.nspname NOT LIKE 'pg\_%'
    ORDER BY namespace.nspname, class.relname
) AS facts;
