-- A customer moves house.
UPDATE public.customers SET street = $2, city = $3, country = $4, postcode = NULL, updated_at = now() WHERE id = $1
