-- Disks of this server with a size of their own, in bytes.
SELECT name, toFloat64(free_space) AS free, toFloat64(total_space) AS total
FROM system.disks
WHERE total_space > 0 AND type = 'Local'
ORDER BY name
