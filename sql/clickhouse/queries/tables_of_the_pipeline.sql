-- Every table that a pipeline knows: ready, being copied, or parked with the reason.
SELECT
    JSONExtractString(argMax(value, sequence) AS newest, 'source') AS source,
    JSONExtractString(newest, 'target') AS target,
    JSONExtractString(newest, 'phase') AS phase,
    JSONExtractString(newest, 'reason') AS reason
FROM shop.pipectl_state
WHERE kind = 'table'
GROUP BY pipeline, transport, name
ORDER BY source;
