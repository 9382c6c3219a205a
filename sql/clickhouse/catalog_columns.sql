-- The columns of the tables and views of a database, in their order: of all, or of one table and its current view.
SELECT
    table,
    name,
    type,
    default_kind,
    default_expression,
    comment
FROM system.columns
WHERE database = {database:String}
    AND ({table:String} = '' OR table IN ({table:String}, concat({table:String}, '_current')))
ORDER BY table, position
