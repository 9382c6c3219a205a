-- Removes records of one partition that were set aside, by their offsets.
ALTER TABLE {database:Identifier}.pipectl_dead_letters
DELETE WHERE pipeline = {pipeline:String} AND topic = {topic:String} AND partition = {partition:Int32}
    AND has({offsets:Array(Int64)}, offset)
SETTINGS mutations_sync = 2
