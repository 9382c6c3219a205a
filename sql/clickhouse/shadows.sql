-- The tables beside tables that copies fill, whether anybody still does.
SELECT name
FROM system.tables
WHERE database = {database:String} AND endsWith(name, '__pipectl_copy')
