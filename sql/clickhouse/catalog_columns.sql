-- The columns of the tables and views of a database, in their order: of all, or of one table, its current view and its log.
SELECT
    table,
    name,
    type,
    default_kind,
    default_expression,
    comment
FROM system.columns
WHERE database = {database:String}
    AND ({table:String} = '' OR table IN ({table:String}, concat({table:String}, '_current'), concat({table:String}, '__log')))
ORDER BY table, position
