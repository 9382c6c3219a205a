-- The next review whose text is stored out of line: octet_length reads the size without fetching the text.
SELECT id FROM public.reviews WHERE id >= $1 AND octet_length(body) >= 3000 ORDER BY id LIMIT 1
