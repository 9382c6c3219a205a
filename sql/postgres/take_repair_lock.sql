-- One repair at a time of a pipeline's tables, and none while all of them are copied anew: a lock of the session's, named by the slot. It stands
-- beside the pipeline's own lock, which a running sync holds.
SELECT pg_catalog.pg_try_advisory_lock(1885957220, pg_catalog.hashtext($1)) AS taken
