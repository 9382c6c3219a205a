-- What the reader of a slot is doing: 'streaming', 'making' while the slot is made, 'hidden' where the role may not see it, null where
-- nobody reads the slot. pg_stat_replication shows only members of pg_read_all_stats more than a pid; a session's query is shown to its own role.
SELECT CASE
    WHEN a.query LIKE 'START_REPLICATION%' THEN 'streaming'
    WHEN a.query LIKE 'CREATE_REPLICATION_SLOT%' THEN 'making'
    WHEN a.pid IS NOT NULL THEN 'hidden'
END
FROM pg_catalog.pg_replication_slots AS s
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = s.active_pid
WHERE s.slot_name = $1
