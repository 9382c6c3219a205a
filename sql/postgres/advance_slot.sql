-- Moves a slot forward to a position of the log; one that is there already stays.
SELECT pg_catalog.pg_replication_slot_advance(slot_name, $2::text::pg_lsn)
FROM pg_catalog.pg_replication_slots
WHERE slot_name = $1 AND confirmed_flush_lsn < $2::text::pg_lsn
