-- Who follows this server now, and how far behind each is. pipectl acknowledges only what is stored in ClickHouse: flush_lsn is that.
SELECT application_name,
       usename AS role,
       state,
       pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), sent_lsn)) AS to_be_sent,
       pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn)) AS to_be_stored,
       reply_time
FROM pg_stat_replication
ORDER BY application_name, pid;
