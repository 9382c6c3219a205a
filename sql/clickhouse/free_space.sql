-- Bytes that are free on the disk with the most room; remote disks count as without a limit.
SELECT max(unreserved_space) AS free FROM system.disks
