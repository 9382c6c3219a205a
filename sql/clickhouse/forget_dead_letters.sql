-- Removes all records of a pipeline that were set aside.
ALTER TABLE {database:Identifier}.pipectl_dead_letters
DELETE WHERE pipeline = {pipeline:String}
SETTINGS mutations_sync = 2
