-- Every replication slot. What a version does not know (safe_wal_size before 13, invalidation_reason before 17) is null.
SELECT to_jsonb(facts)
FROM (
    SELECT
        slot.slot_name AS name,
        slot.plugin,
        slot.database,
        slot.temporary,
        slot.active,
        slot.active_pid,
        slot.confirmed_flush_lsn AS confirmed,
        to_jsonb(slot) ->> 'wal_status' AS wal_status,
        (to_jsonb(slot) ->> 'safe_wal_size')::bigint AS safe_wal_size,
        to_jsonb(slot) ->> 'invalidation_reason' AS invalidation_reason,
        pg_wal_lsn_diff(place.lsn, slot.restart_lsn)::bigint AS held_bytes,
        pg_wal_lsn_diff(place.lsn, slot.confirmed_flush_lsn)::bigint AS lag_bytes
    FROM pg_replication_slots AS slot
    CROSS JOIN (
        SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn
    ) AS place
    ORDER BY slot.slot_name
) AS facts;
