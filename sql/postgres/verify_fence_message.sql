-- A transaction of nothing but a message: the reader confirms it, and with it all that lies before.
SELECT pg_catalog.pg_logical_emit_message(true, 'pipectl', 'fence')::text;
