-- When each pipeline last stored its position, and what it was. An idle Postgres is heard of by the heartbeat, every 30 seconds unless set.
SELECT
    pipeline,
    transport,
    kind,
    argMax(value, sequence) AS position,
    max(written_at) AS stored_at,
    dateDiff('second', stored_at, now64(3, 'UTC')) AS seconds_ago
FROM shop.pipectl_state
WHERE kind = 'checkpoint'
GROUP BY pipeline, transport, kind
ORDER BY pipeline, transport;
