-- Something that a customer did.
INSERT INTO public.events (customer_id, session_id, kind, payload, took_ms)
VALUES ($1, $2::text::uuid, $3, $4::text::jsonb, $5)
