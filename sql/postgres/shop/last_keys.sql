-- The greatest key of each table that its rows or its sequence know of: new rows go on after it.
SELECT greatest((SELECT max(id) FROM public.customers),
                pg_sequence_last_value(pg_get_serial_sequence('public.customers', 'id')::regclass), 0) AS customers,
       greatest((SELECT max(id) FROM public.products),
                pg_sequence_last_value(pg_get_serial_sequence('public.products', 'id')::regclass), 0) AS products,
       greatest((SELECT max(id) FROM public.orders),
                pg_sequence_last_value(pg_get_serial_sequence('public.orders', 'id')::regclass), 0) AS orders,
       greatest((SELECT max(id) FROM public.reviews),
                pg_sequence_last_value(pg_get_serial_sequence('public.reviews', 'id')::regclass), 0) AS reviews,
       greatest((SELECT max(id) FROM public.events),
                pg_sequence_last_value(pg_get_serial_sequence('public.events', 'id')::regclass), 0) AS events
