-- Of all versions of a table's rows the highest place of a transaction.
SELECT toString(toUInt64(bitShiftRight(max({version:Identifier}), 64))) AS place FROM {database:Identifier}.{table:Identifier}
