-- Transactions that have written and are still open: making a slot waits for each of them. Since when is null where the role may
-- not see other roles' sessions.
SELECT to_jsonb(facts)
FROM (
    SELECT
        activity.pid,
        activity.backend_xid::text AS xid,
        activity.usename AS role,
        activity.datname AS database,
        extract(epoch FROM clock_timestamp() - activity.xact_start)::double precision AS seconds,
        to_char(activity.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since
    FROM pg_stat_activity AS activity
    WHERE activity.backend_xid IS NOT NULL AND activity.pid <> pg_backend_pid()
    ORDER BY activity.xact_start NULLS LAST, activity.pid
) AS facts;
