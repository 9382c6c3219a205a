COPY public.orders (id, customer_id, status, currency, total, discount_percent, gift, note, placed_at, shipped_at)
    FROM STDIN (FORMAT binary)
