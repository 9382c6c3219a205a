-- The server, the role that asks and what is left of the server's limits. Everything here may be read by any role.
SELECT to_jsonb(facts)
FROM (
    SELECT
        current_setting('server_version') AS version,
        current_setting('server_version_num')::integer AS version_number,
        pg_is_in_recovery() AS standby,
        current_database() AS database,
        role.rolname AS role,
        role.rolsuper AS superuser,
        role.rolreplication AS replication,
        role.rolconnlimit AS role_connection_limit,
        has_database_privilege(current_database(), 'CREATE') AS may_create,
        pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all_sessions,
        host(inet_client_addr()) AS client_address,
        (SELECT count(*) FROM pg_replication_slots) AS slots_used,
        (SELECT count(*) FROM pg_stat_replication) AS senders_used,
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections_used,
        (SELECT count(*) FROM pg_stat_activity WHERE usename = role.rolname) AS role_connections_used
    FROM pg_roles AS role
    WHERE role.rolname = current_user
) AS facts;
