-- Whether there is a database of this name.
SELECT name FROM system.databases WHERE name = {database:String}
