-- The server's version, what decides about inserts in this session, and its time in seconds since 1970.
SELECT
    version() AS version,
    toString(getSetting('readonly')) AS readonly,
    toString(getSetting('async_insert')) AS async_insert,
    toFloat64(toUnixTimestamp64Micro(now64(6))) / 1000000 AS clock
