-- Whether transactions, named by the low 32 bits of their ids, are all visible now. Their epoch is the current one, or the one before where the
-- low bits have started again since.
WITH now AS (
    SELECT pg_catalog.pg_current_snapshot() AS snapshot,
           pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::numeric AS next
), full_id AS (
    SELECT snapshot,
           CASE WHEN floor(next / 4294967296) * 4294967296 + low < next
                THEN floor(next / 4294967296) * 4294967296 + low
                ELSE greatest((floor(next / 4294967296) - 1) * 4294967296 + low, low)
           END AS id
    FROM now, pg_catalog.unnest($1::bigint[]) AS low
)
SELECT coalesce(pg_catalog.bool_and(pg_catalog.pg_visible_in_snapshot(id::text::pg_catalog.xid8, snapshot)), true) FROM full_id
