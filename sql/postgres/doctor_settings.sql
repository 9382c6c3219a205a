-- Settings that logical replication rests on. One that this version does not know is not in the answer.
SELECT to_jsonb(facts)
FROM (
    SELECT name, setting, pending_restart
    FROM pg_settings
    WHERE name IN (
        'wal_level',
        'max_replication_slots',
        'max_wal_senders',
        'wal_sender_timeout',
        'max_slot_wal_keep_size',
        'idle_replication_slot_timeout',
        'max_connections',
        'superuser_reserved_connections',
        'reserved_connections'
    )
) AS facts;
