-- Ends the session that makes or reads a replication slot.
SELECT pg_catalog.pg_terminate_backend(active_pid)
FROM pg_catalog.pg_replication_slots
WHERE slot_name = $1 AND active_pid IS NOT NULL
