-- Parts and bytes of each table. Inserts are slowed down and then refused where one partition has too many active parts.
SELECT
    table,
    count() AS parts,
    sum(rows) AS rows,
    formatReadableSize(sum(bytes_on_disk)) AS on_disk,
    formatReadableSize(sum(data_uncompressed_bytes)) AS uncompressed,
    max(modification_time) AS newest
FROM system.parts
WHERE active AND database = 'shop'
GROUP BY table
ORDER BY sum(bytes_on_disk) DESC;
