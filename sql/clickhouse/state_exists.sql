SELECT count() AS found FROM system.tables WHERE database = {database:String} AND name = 'pipectl_state'
