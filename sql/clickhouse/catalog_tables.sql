-- The tables and views of a database: all, or one table, its current view and its log.
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
    AND ({table:String} = '' OR name IN ({table:String}, concat({table:String}, '_current'), concat({table:String}, '__log')))
