-- Rows that the parts of each table hold, replaced ones included.
SELECT name, ifNull(total_rows, 0) AS rows FROM system.tables WHERE database = {database:String} AND engine LIKE '%MergeTree'
