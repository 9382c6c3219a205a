-- A vote for a review: its long text stays as it is, so that Postgres does not send it.
UPDATE public.reviews SET helpful_votes = helpful_votes + 1 WHERE id = $1
