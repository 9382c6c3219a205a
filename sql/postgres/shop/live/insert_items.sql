-- The lines of an order, prices in hundredths.
INSERT INTO public.order_items (order_id, line, product_id, quantity, unit_price)
SELECT $1, item.line, item.product, item.quantity, (item.price / 100.0)::numeric(10, 2)
FROM unnest($2::bigint[], $3::smallint[], $4::bigint[]) WITH ORDINALITY AS item (product, quantity, price, line)
