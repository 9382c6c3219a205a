-- Prepared transactions, which stay until somebody commits or rolls them back: making a slot waits for each of them.
SELECT to_jsonb(facts)
FROM (
    SELECT
        gid,
        owner AS role,
        database,
        extract(epoch FROM clock_timestamp() - prepared)::double precision AS seconds,
        to_char(prepared AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since
    FROM pg_prepared_xacts
    ORDER BY prepared
) AS facts;
