-- A new customer; its own key makes the mail address unique.
INSERT INTO public.customers (id, external_id, email, name, phone, street, city, country, last_ip)
SELECT key.id, $1::text::uuid, $2::text || '.' || key.id || '@example.com', $3, $4, $5, $6, $7, $8::text::inet
FROM (SELECT nextval(pg_get_serial_sequence('public.customers', 'id')) AS id) AS key
RETURNING id
