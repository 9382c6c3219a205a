-- Where the write-ahead log ends, in bytes, and what time the server has, in seconds since 1970.
SELECT to_jsonb(facts)
FROM (
    SELECT
        pg_wal_lsn_diff(
            CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
            '0/0'
        )::bigint AS position,
        extract(epoch FROM clock_timestamp())::double precision AS clock
) AS facts;
