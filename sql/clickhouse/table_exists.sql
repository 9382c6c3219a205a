-- Whether there is a table of this name.
SELECT count() AS found FROM system.tables WHERE database = {database:String} AND name = {table:String}
