-- Of a transaction that has just begun: its snapshot, for other sessions to join, and a position in the log that no commit which the
-- snapshot sees lies behind. The snapshot is taken before the position is read.
SELECT pg_catalog.pg_export_snapshot() AS snapshot,
       CASE WHEN pg_catalog.pg_is_in_recovery()
            THEN pg_catalog.pg_last_wal_replay_lsn()
            ELSE pg_catalog.pg_current_wal_insert_lsn()
       END::text AS fence,
       pg_catalog.current_setting('server_encoding') AS encoding,
       pg_catalog.current_setting('server_version_num')::int4 AS version;
