-- What tells a table from another one that had its name before.
SELECT toString(uuid) AS uuid
FROM system.tables
WHERE database = {database:String} AND name = {table:String}
