-- Removes what is stored of a pipeline.
ALTER TABLE {database:Identifier}.pipectl_state
DELETE WHERE pipeline = {pipeline:String} AND transport = {transport:String} AND slot = {slot:String}
SETTINGS mutations_sync = 2
