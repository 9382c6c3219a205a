-- A new review.
INSERT INTO public.reviews (product_id, customer_id, rating, title, body, verified) VALUES ($1, $2, $3, $4, $5, true) RETURNING id
