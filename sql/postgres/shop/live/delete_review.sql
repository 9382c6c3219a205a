-- A review.
DELETE FROM public.reviews WHERE id = $1
