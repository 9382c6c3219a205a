-- Bytes of log that a slot may hold back, where there is a limit.
SELECT CASE WHEN setting::bigint >= 0 THEN setting::bigint * 1024 * 1024 END
FROM pg_catalog.pg_settings
WHERE name = 'max_slot_wal_keep_size'
