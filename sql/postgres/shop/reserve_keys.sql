-- Moves each table's sequence behind the keys that are about to be written, so that others who insert meanwhile get later ones.
SELECT setval(pg_get_serial_sequence('public.customers', 'id'), $1::bigint),
       setval(pg_get_serial_sequence('public.products', 'id'), $2::bigint),
       setval(pg_get_serial_sequence('public.orders', 'id'), $3::bigint),
       setval(pg_get_serial_sequence('public.reviews', 'id'), $4::bigint),
       setval(pg_get_serial_sequence('public.events', 'id'), $5::bigint)
