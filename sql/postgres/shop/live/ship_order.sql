-- An order leaves the house.
UPDATE public.orders SET status = 'shipped', shipped_at = now() WHERE id = $1
