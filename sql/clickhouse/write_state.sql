INSERT INTO {database:Identifier}.pipectl_state (pipeline, transport, slot, kind, name, value, sequence)
SELECT {pipeline:String}, {transport:String}, {slot:String}, {kind:String}, {name:String}, {value:String}, {sequence:UInt64}
SETTINGS async_insert = 0, insert_deduplicate = 0
