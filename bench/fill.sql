-- The table of the measurements, filled by the server itself. Variables: rows.
CREATE TABLE bench (
    id bigint PRIMARY KEY,
    n integer NOT NULL,
    t text NOT NULL,
    amount numeric(12, 2) NOT NULL,
    h text NOT NULL,
    at timestamptz NOT NULL,
    u uuid NOT NULL
) WITH (autovacuum_enabled = off);

INSERT INTO bench
SELECT
    id,
    (id * 7919 % 1000000)::integer,
    'row ' || id || ' of the bench',
    (id * 104729 % 100000000) / 100.0,
    md5(id::text),
    timestamptz '2024-01-01 00:00:00+00' + id * interval '1.234567 seconds',
    md5('u' || id)::uuid
FROM generate_series(1::bigint, :rows) AS id;

VACUUM (ANALYZE, FREEZE) bench;

-- One call makes all changes, 1000 a transaction: 400 inserts, 450 updates and 150 deletes, in a statement each. Updates hit even keys and deletes odd
-- ones, spread over the whole table, so that every one of them finds its row.
CREATE PROCEDURE bench_changes(transactions integer, rows bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 0 .. transactions - 1 LOOP
        INSERT INTO bench
        SELECT
            id,
            (id * 7919 % 1000000)::integer,
            'row ' || id || ' of the changes',
            (id * 104729 % 100000000) / 100.0,
            md5(id::text),
            timestamptz '2025-01-01 00:00:00+00' + id * interval '0.765432 seconds',
            md5('u' || id)::uuid
        FROM generate_series(rows + i * 400 + 1, rows + i * 400 + 400) AS id;
        UPDATE bench SET n = n + 1, amount = amount + 0.01, t = t || ', changed', at = at + interval '1 day'
        WHERE id = ANY (SELECT 2 * (1 + i + k * (rows / 900)) FROM generate_series(0, 449) AS k);
        DELETE FROM bench
        WHERE id = ANY (SELECT 2 * (i + k * (rows / 300)) + 1 FROM generate_series(0, 149) AS k);
        COMMIT;
    END LOOP;
END
$$;
