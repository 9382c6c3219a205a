COPY public.reviews (id, product_id, customer_id, rating, title, body, photos, helpful_votes, verified, created_at, edited_at)
    FROM STDIN (FORMAT binary)
