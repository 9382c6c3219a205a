-- An event.
DELETE FROM public.events WHERE id = $1
