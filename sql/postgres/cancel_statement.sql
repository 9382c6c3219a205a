-- Cancels what a session is doing. $1: its pid.
SELECT pg_catalog.pg_cancel_backend($1)
