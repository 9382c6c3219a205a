-- Whom a session waits for that asks for a lock. $1: the session's pid. A prepared transaction has no session, and pid 0.
-- Of a statement only its first word is told: the rest may hold values.
SELECT
    blocker.pid,
    pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - activity.xact_start)::bigint AS seconds,
    pg_catalog.upper(pg_catalog.substring(activity.query, '^\s*([A-Za-z]+)')) AS statement,
    activity.state = 'idle in transaction' AS idle
FROM pg_catalog.pg_stat_activity AS waiting
CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(waiting.pid)) AS blocker (pid)
LEFT JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = blocker.pid
WHERE waiting.pid = $1
  AND waiting.wait_event_type = 'Lock'
ORDER BY seconds DESC NULLS LAST
