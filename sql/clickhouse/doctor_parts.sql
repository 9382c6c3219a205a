-- The most active parts that a partition of each table has, and from how many on inserts into it are refused.
SELECT
    counted.table AS name,
    toFloat64(max(counted.parts)) AS most,
    toFloat64(any(
        if(
            extract(tables.engine_full, 'parts_to_throw_insert = (\\d+)') = '',
            (SELECT any(value) FROM system.merge_tree_settings WHERE name = 'parts_to_throw_insert'),
            extract(tables.engine_full, 'parts_to_throw_insert = (\\d+)')
        )
    )) AS refused_from
FROM
(
    SELECT table, partition_id, count() AS parts
    FROM system.parts
    WHERE active AND database = {database:String}
    GROUP BY table, partition_id
) AS counted
INNER JOIN system.tables AS tables ON tables.name = counted.table
WHERE tables.database = {database:String}
GROUP BY name
ORDER BY name
