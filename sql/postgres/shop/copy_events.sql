COPY public.events (id, customer_id, session_id, kind, payload, ip, took_ms, occurred_at) FROM STDIN (FORMAT binary)
