-- The tables whose rows have a version.
SELECT table FROM system.columns WHERE database = {database:String} AND name = {version:String} AND type = 'UInt128'
