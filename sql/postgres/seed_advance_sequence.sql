-- Moves a sequence behind a key that was written without asking it; leaves one alone that is there already.
SELECT setval($1::text::regclass, $2::bigint)
WHERE coalesce(pg_sequence_last_value($1::text::regclass), 0) < $2::bigint
