COPY public.customers (id, external_id, email, name, phone, street, city, postcode, country, birthday, last_ip, tags, newsletter,
                       created_at, updated_at) FROM STDIN (FORMAT binary)
