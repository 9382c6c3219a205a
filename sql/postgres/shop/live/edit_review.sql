-- A review is written anew.
UPDATE public.reviews SET body = $2, edited_at = now() WHERE id = $1
