-- Which dates and times this server shows as they are stored, made from numbers: the first and the last of the wide range as text.
-- Servers before 26.7 show 1900 and 2299 instead. The text parser is no judge: it clamps dates that the server can well store.
SELECT
    toString(fromDaysSinceYearZero32(366)) = '0001-01-01'
        AND toString(fromDaysSinceYearZero32(3652424)) = '9999-12-31' AS wide_dates,
    toString(reinterpret(toInt64(-62135596800000000), 'DateTime64(6, \'UTC\')')) = '0001-01-01 00:00:00.000000'
        AND toString(reinterpret(toInt64(253402300799999999), 'DateTime64(6, \'UTC\')')) = '9999-12-31 23:59:59.999999' AS wide_times
