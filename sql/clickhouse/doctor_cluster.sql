-- How many servers the cluster has, and which macros this one knows.
SELECT
    toFloat64((SELECT count() FROM system.clusters WHERE cluster = {cluster:String})) AS servers,
    (SELECT groupArray(macro) FROM system.macros) AS macros
