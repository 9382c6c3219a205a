-- The payment of an order, the amount in hundredths.
INSERT INTO public.payments (id, order_id, method, amount, card_last4)
VALUES ($1::text::uuid, $2, 'card', ($3::bigint / 100.0)::numeric(12, 2), $4)
