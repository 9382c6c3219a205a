-- The database's engine; no row where it is not there, or not to be seen.
SELECT engine
FROM system.databases
WHERE name = {database:String}
