-- How far partitions are stored: a row each. They come as JSON in hexadecimal digits, since a topic's name may hold what a parameter escapes.
INSERT INTO {database:Identifier}.pipectl_state (pipeline, transport, slot, kind, name, value, sequence)
SELECT {pipeline:String}, {transport:String}, {slot:String}, 'offset', name, value, {sequence:UInt64}
FROM format(JSONEachRow, 'name String, value String', unhex({rows:String}))
SETTINGS async_insert = 0, insert_deduplicate = 0
