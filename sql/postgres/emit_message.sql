-- A message in the log, in a transaction of its own: it moves an idle slot on, and marks a place that the stream will pass.
SELECT pg_catalog.pg_logical_emit_message(true, 'pipectl', 'heartbeat')::text
