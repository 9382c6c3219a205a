COPY public.products (id, sku, name, description, category, price, weight_kg, sizes_mm, attributes, stock, active, released_on,
                      created_at) FROM STDIN (FORMAT binary)
