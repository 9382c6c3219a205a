-- The columns of the tables and views of a database, in their order.
SELECT
    table,
    name,
    type,
    default_kind,
    default_expression
FROM system.columns
WHERE database = {database:String}
ORDER BY table, position
