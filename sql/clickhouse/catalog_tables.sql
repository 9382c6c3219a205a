-- The tables and views of a database.
SELECT
    name,
    engine,
    engine_full,
    sorting_key,
    partition_key,
    as_select,
    total_rows
FROM system.tables
WHERE database = {database:String}
