-- The orders that were deleted in Postgres, and are still stored. `_version` is a place in Postgres' log: its upper half the end of the
-- transaction, so the newest stand first.
SELECT id, argMax(_version, _version) AS version, hex(bitShiftRight(version, 64)) AS end_of_transaction
FROM shop.orders
GROUP BY id
HAVING argMax(_deleted, _version) = 1
ORDER BY version DESC
LIMIT 100;
