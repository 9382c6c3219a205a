-- A row of a table, where it has any.
SELECT 1 AS found FROM {database:Identifier}.{table:Identifier} LIMIT 1
