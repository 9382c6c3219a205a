-- The newest value of every name of a pipeline.
SELECT kind, name, argMax(value, sequence) AS newest, max(pipectl_state.sequence) AS last
FROM {database:Identifier}.pipectl_state
WHERE pipeline = {pipeline:String} AND transport = {transport:String} AND slot = {slot:String}
GROUP BY kind, name
