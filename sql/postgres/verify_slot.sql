-- How far a slot's reader has confirmed, and whether there is a reader.
SELECT active, confirmed_flush_lsn::text AS confirmed
FROM pg_catalog.pg_replication_slots
WHERE slot_name = $1;
