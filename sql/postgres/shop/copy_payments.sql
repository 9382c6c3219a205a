COPY public.payments (id, order_id, method, amount, card_last4, paid_at) FROM STDIN (FORMAT binary)
