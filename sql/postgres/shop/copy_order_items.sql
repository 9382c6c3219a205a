COPY public.order_items (order_id, line, product_id, quantity, unit_price) FROM STDIN (FORMAT binary)
