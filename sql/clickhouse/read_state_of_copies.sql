-- Which copies of tables were asked for, and what became of that.
SELECT kind, name, argMax(value, sequence) AS newest
FROM {database:Identifier}.pipectl_state
WHERE pipeline = {pipeline:String} AND transport = {transport:String} AND slot = {slot:String} AND kind IN ('resync', 'resynced')
GROUP BY kind, name
