-- How much log lies on the disk, and what bounds it. Needs the role pg_monitor, or a superuser.
SELECT count(*) AS files,
       pg_size_pretty(sum(size)) AS size,
       current_setting('max_wal_size') AS max_wal_size,
       current_setting('wal_keep_size') AS wal_keep_size,
       -- -1: a slot may hold back all there is room for.
       current_setting('max_slot_wal_keep_size') AS max_slot_wal_keep_size,
       current_setting('wal_level') AS wal_level
FROM pg_ls_waldir();
