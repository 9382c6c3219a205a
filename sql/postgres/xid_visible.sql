-- Whether a transaction, named by the low 32 bits of its id, is visible now. Its epoch is the current one, or the one before where the low bits
-- have started again since.
WITH now AS (
    SELECT pg_catalog.pg_current_snapshot() AS snapshot,
           pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::numeric AS next
), full_id AS (
    SELECT snapshot,
           CASE WHEN floor(next / 4294967296) * 4294967296 + $1::bigint < next
                THEN floor(next / 4294967296) * 4294967296 + $1::bigint
                ELSE greatest((floor(next / 4294967296) - 1) * 4294967296 + $1::bigint, $1::bigint)
           END AS id
    FROM now
)
SELECT pg_catalog.pg_visible_in_snapshot(id::text::pg_catalog.xid8, snapshot) FROM full_id
