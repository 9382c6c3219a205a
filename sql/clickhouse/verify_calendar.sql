-- Whether the long types reach from year 1 to 9999, or only from 1900 to 2299 as before ClickHouse 26.7. Reached by counting: the
-- reader of texts knows fewer dates than the types.
SELECT toString(toDate32('1970-01-01') - 719162) = '0001-01-01'
           AND toString(toDate32('1970-01-01') + 2932896) = '9999-12-31' AS date32,
       toString(fromUnixTimestamp64Micro(-62135596800000000, 'UTC')) = '0001-01-01 00:00:00.000000'
           AND toString(fromUnixTimestamp64Micro(253402300799999999, 'UTC')) = '9999-12-31 23:59:59.999999' AS datetime64;
