-- A review gets another key, its long text stays as it is.
UPDATE public.reviews SET id = nextval(pg_get_serial_sequence('public.reviews', 'id')) WHERE id = $1 RETURNING id
