# shellcheck shell=bash disable=SC2034,SC2153,SC2154 # Variables cross the files of this folder.
# ClickHouse of a stack: the `clickhouse` of the PATH, else the engine of the npm package behind its launcher.
# Sourced by dev/stack.
#
# The package serves HTTP and native TCP, no HTTPS: `SYSTEM START LISTEN HTTPS` is refused by it.

# The launcher's own session is `default` without a password, and the package cannot change that. So `default` may open
# listeners and nothing else, and everybody else is `pipectl`, with a password.
ch_write_users() {
    local hash
    hash=$(printf '%s' "$ch_password" | openssl dgst -sha256 | sed 's/.*= *//')
    cat <<EOF
<clickhouse>
    <profiles><default/></profiles>
    <quotas><default/></quotas>
    <users>
        <default>
            <no_password/>
            <networks><ip>127.0.0.1</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants><query>GRANT SYSTEM LISTEN ON *.*</query></grants>
        </default>
        <pipectl>
            <password_sha256_hex>$hash</password_sha256_hex>
            <networks><ip>127.0.0.1</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <access_management>1</access_management>
        </pipectl>
        <!-- For tests: may read everything and write nothing. -->
        <reader>
            <password_sha256_hex>$hash</password_sha256_hex>
            <networks><ip>127.0.0.1</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants>
                <query>GRANT SELECT, SHOW ON *.*</query>
            </grants>
        </reader>
    </users>
</clickhouse>
EOF
}

ch_write_config() {
    local level=$1
    cat <<EOF
<clickhouse>
    <logger>
        <level>$level</level>
        <log>$STATE/clickhouse.log</log>
        <size>100M</size>
        <count>2</count>
    </logger>
    <listen_host>127.0.0.1</listen_host>
    <http_port>$CH_PORT</http_port>
    <tcp_port>$CH_TCP_PORT</tcp_port>
    <path>$STATE/clickhouse/data/</path>
    <tmp_path>$STATE/clickhouse/data/tmp/</tmp_path>
    <user_files_path>$STATE/clickhouse/data/user_files/</user_files_path>
    <format_schema_path>$STATE/clickhouse/data/format_schemas/</format_schema_path>
    <mark_cache_size>268435456</mark_cache_size>
    <users_config>$STATE/clickhouse/users.xml</users_config>
    <user_directories><users_xml><path>$STATE/clickhouse/users.xml</path></users_xml></user_directories>
</clickhouse>
EOF
}

ch_pid() {
    local pid=''
    if [ -r "$STATE/clickhouse.pid" ]; then read -r pid <"$STATE/clickhouse.pid" || true; fi
    if is_ours "$pid" "$STATE/clickhouse/config.xml"; then printf '%s\n' "$pid"; fi
}

# The password goes by a file, since a command line can be read by everybody on the machine.
ch_query() { # SQL
    curl -sS --fail --max-time 10 --noproxy '*' -H "@$STATE/clickhouse/headers" "http://127.0.0.1:$CH_PORT/" --data-binary "$1"
}

ch_answers() { [ "$(ch_query 'SELECT 1 FORMAT TSV' 2>/dev/null)" = 1 ]; }
ch_up() { [ -n "$(ch_pid)" ] && ch_answers; }
ch_settled() { ch_up || ! kill -0 "$launched_pid" 2>/dev/null; }

ch_write_files() {
    mkdir -p "$STATE/clickhouse/data"
    chmod 700 "$STATE/clickhouse"
    (
        umask 077
        ch_write_users >"$STATE/clickhouse/users.xml"
        ch_write_config "${CH_LOG_LEVEL:-warning}" >"$STATE/clickhouse/config.xml"
        printf 'X-ClickHouse-User: pipectl\nX-ClickHouse-Key: %s\n' "$ch_password" >"$STATE/clickhouse/headers"
    )
}

ch_launch() {
    local config="$STATE/clickhouse/config.xml" library launcher port
    for port in "$CH_PORT" "$CH_TCP_PORT"; do
        if port_taken "$port"; then
            die "port $port of 127.0.0.1 is taken, ClickHouse cannot listen on it" "choose others with CH_PORT and CH_TCP_PORT"
        fi
    done
    ch_write_files
    # The engine serves for as long as its first query runs, so that query opens the doors and then sleeps for 30 years.
    local serve='SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP;
SELECT count() FROM system.one WHERE NOT ignore(sleep(1000000000)) SETTINGS function_sleep_max_microseconds_per_block = 0'
    if have clickhouse; then
        launch "$STATE/clickhouse.out" clickhouse server --config-file="$config"
    else
        library=$(chdb_library) || exit 1
        launcher=$(chdb_launcher "$HERE/clickhouse_launcher.c") || exit 1
        launch "$STATE/clickhouse.out" "$launcher" "$library" --config-file="$config" \
            --log-level="${CH_LOG_LEVEL:-warning}" --output-format=TSV --query="$serve"
    fi
    printf '%s\n' "$launched_pid" >"$STATE/clickhouse.pid"
}

ch_start() {
    if ch_up; then return; fi
    launched_pid=$(ch_pid)
    if [ -z "$launched_pid" ]; then ch_launch; fi
    if ! wait_until 60 ch_settled || ! ch_up; then
        tail -n 15 "$STATE/clickhouse.out" "$STATE/clickhouse.log" >&2 || true
        die "ClickHouse did not start; its last lines are above, its logs are $STATE/clickhouse.out and $STATE/clickhouse.log"
    fi
}

ch_stop() {
    local pid
    pid=$(ch_pid)
    if [ -n "$pid" ]; then
        kill -TERM "$pid" 2>/dev/null || true
        wait_until 15 gone "$pid" || ch_kill
    fi
    rm -f "$STATE/clickhouse.pid"
}

ch_kill() {
    local pid
    pid=$(ch_pid)
    if [ -z "$pid" ]; then return; fi
    kill -KILL "$pid" 2>/dev/null || true
    wait_until 10 gone "$pid" || die "ClickHouse (pid $pid) survived kill -9"
    rm -f "$STATE/clickhouse.pid"
}
