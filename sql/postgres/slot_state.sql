-- What Postgres says of a replication slot, and where its log ends.
SELECT slot_name::text,
       plugin::text,
       database::text,
       active,
       active_pid,
       wal_status::text,
       confirmed_flush_lsn::text,
       restart_lsn::text
FROM pg_catalog.pg_replication_slots
WHERE slot_name = $1
