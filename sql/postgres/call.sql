-- Calls the running sync, which listens on a channel of the slot's name.
SELECT pg_catalog.pg_notify($1, '')
