# shellcheck shell=bash disable=SC2034,SC2153,SC2154 # Variables cross the files of this folder.
# Postgres of a stack: logical WAL, SCRAM over TCP with TLS on offer, a replication role that is no superuser.
# Sourced by dev/stack.

PG_FSYNC=${PG_FSYNC:-on}

# initdb and postgres refuse to run as root.
pg_user() {
    local user
    if [ "$(id -u)" -ne 0 ]; then
        id -un
        return
    fi
    for user in postgres nobody; do
        if id "$user" >/dev/null 2>&1; then
            printf '%s\n' "$user"
            return
        fi
    done
    die "Postgres does not run as root, and there is no user postgres or nobody" "run as another user"
}

# The words that make a command run as that user, without a process of their own in between.
pg_user_words() {
    if [ "$(id -u)" -ne 0 ]; then
        as_pg_words=(env)
    elif have setpriv; then
        as_pg_words=(setpriv --reuid "$(pg_user)" --regid "$(id -g "$(pg_user)")" --init-groups --)
    else
        as_pg_words=(runuser -u "$(pg_user)" --)
    fi
}

as_pg() {
    local as_pg_words
    pg_user_words
    "${as_pg_words[@]}" "$@"
}

choose_pg_home() {
    local near="$STATE/postgres" socket_path_limit=100
    if [ "${#near}" -le $((socket_path_limit - 16)) ] && (as_pg test -x "$STATE") 2>/dev/null; then
        printf '%s\n' "$near"
    else
        printf '/var/tmp/pipectl-%s\n' "$(printf '%s' "$STATE" | cksum | cut -d' ' -f1)"
    fi
}

# The folder of the server's programs, readable by the user it runs as.
pg_bin() {
    local bin copy
    bin=$(postgres_bin) || exit 1
    if ! (as_pg test -x "$bin/postgres") 2>/dev/null; then
        # The cache lies in root's home: the server needs a copy it can reach.
        copy="$pg_home/server"
        if [ ! -x "$copy/bin/postgres" ]; then
            cp -R "${bin%/bin}" "$copy.new"
            chmod -R a+rX "$copy.new"
            mv "$copy.new" "$copy"
        fi
        bin="$copy/bin"
    fi
    printf '%s\n' "$bin"
}

pg_pid() {
    local pid=''
    if [ -r "$pg_home/data/postmaster.pid" ]; then read -r pid <"$pg_home/data/postmaster.pid" || true; fi
    if is_ours "$pid" "$pg_home/data"; then printf '%s\n' "$pid"; fi
}

sql_literal() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/''/g")"; }

# Makes the cluster in a folder beside its place and renames it, so an interrupted `up` leaves no half cluster.
pg_init() { # BIN
    local bin=$1 fresh="$pg_home/data.new"
    if [ -s "$pg_home/data/PG_VERSION" ]; then return; fi
    say "postgres: new cluster in $pg_home ($("$bin/postgres" --version))"
    rm -rf "$fresh"
    if ! {
        as_pg "$bin/initdb" -D "$fresh" -U postgres -E UTF8 --locale=C --auth=trust --no-sync --no-instructions &&
            pg_roles | as_pg "$bin/postgres" --single -j -D "$fresh" postgres &&
            pg_write_access "$fresh" &&
            printf "include 'pipectl.conf'\n" | as_pg tee -a "$fresh/postgresql.conf" &&
            as_pg mv "$fresh" "$pg_home/data"
    } >"$STATE/initdb.log" 2>&1; then
        tail -n 15 "$STATE/initdb.log" >&2
        die "could not make the Postgres cluster in $pg_home"
    fi
}

# Read by the single-user server, which takes a command to be over at a semicolon and an empty line.
pg_roles() {
    cat <<EOF
ALTER ROLE postgres PASSWORD $(sql_literal "$pg_admin_password");

CREATE ROLE pipectl LOGIN REPLICATION PASSWORD $(sql_literal "$pg_password");

CREATE DATABASE shop OWNER pipectl TEMPLATE template0;

EOF
}

# Without a password only the administrator, through the socket. Two names are kept for tests: pipectl_walled is turned
# away before any password, pipectl_cert logs in with the client certificate; neither role exists until a test makes it.
# (The word `replication` is for physical replication; a logical one is let in by its database.)
pg_write_access() { # DATA
    as_pg tee "$1/pg_hba.conf" <<'EOF'
local   all          postgres                      trust
host    all          pipectl_walled  127.0.0.1/32  reject
hostssl all          pipectl_cert    127.0.0.1/32  cert
host    all          all             127.0.0.1/32  scram-sha-256
host    replication  all             127.0.0.1/32  scram-sha-256
EOF
}

# Written anew at every start, so that ports and settings may change between two starts.
pg_write_settings() {
    local data="$pg_home/data"
    as_pg tee "$data/pipectl.conf" >/dev/null <<EOF
listen_addresses = '127.0.0.1'
port = $PG_PORT
unix_socket_directories = '$pg_home'
unix_socket_permissions = 0700
wal_level = logical
max_replication_slots = 64
max_wal_senders = 64
max_connections = 200
max_prepared_transactions = 16
shared_buffers = 256MB
max_wal_size = 4GB
fsync = $PG_FSYNC
ssl = on
ssl_cert_file = 'server.crt'
ssl_key_file = 'server.key'
ssl_ca_file = 'ca.crt'
password_encryption = 'scram-sha-256'
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
EOF
    as_pg tee "$data/ca.crt" <"$STATE/tls/ca.crt" >/dev/null
    as_pg tee "$data/server.crt" <"$STATE/tls/server.crt" >/dev/null
    as_pg tee "$data/server.key" <"$STATE/tls/server.key" >/dev/null
    as_pg chmod 600 "$data/server.key"
}

# Through the socket where there is psql; the npm package has none, so there the server's own word must do.
pg_answers() {
    local psql
    psql=$(psql_path)
    if [ -n "$psql" ]; then
        [ "$("$psql" -XAtq -h "$pg_home" -p "$PG_PORT" -U postgres -d shop -c 'SELECT 1' 2>/dev/null)" = 1 ]
    else
        grep -qE '^(ready|standby)' "$pg_home/data/postmaster.pid" 2>/dev/null
    fi
}

pg_up() { [ -n "$(pg_pid)" ] && pg_answers; }

# True as soon as waiting is over: it answers, or it is gone.
pg_settled() { pg_up || ! kill -0 "$launched_pid" 2>/dev/null; }

# A killed server leaves its lock files, and Postgres believes them while the pid exists: also that of a zombie whose
# parent never collects it (as in a container without an init), or of a process that got the number since.
pg_forget_dead() {
    local file pid
    for file in "$pg_home/data/postmaster.pid" "$pg_home/.s.PGSQL.$PG_PORT.lock"; do
        if [ ! -e "$file" ]; then continue; fi
        read -r pid <"$file" || true
        if kill -0 "$pid" 2>/dev/null && ! is_ours "$pid" "$pg_home/data"; then rm -f "$file"; fi
    done
}

pg_launch() {
    local bin as_pg_words
    if port_taken "$PG_PORT"; then
        die "port $PG_PORT of 127.0.0.1 is taken, Postgres cannot listen on it" "choose another with PG_PORT"
    fi
    mkdir -p "$pg_home"
    chmod 755 "$pg_home"
    if [ "$(id -u)" -eq 0 ]; then chown "$(pg_user)" "$pg_home"; fi
    bin=$(pg_bin) || exit 1
    pg_init "$bin"
    pg_write_settings
    pg_forget_dead
    pg_user_words
    # shellcheck disable=SC2086 # PG_SETTINGS holds several words, such as "-c wal_level=replica".
    launch "$STATE/postgres.log" "${as_pg_words[@]}" "$bin/postgres" -D "$pg_home/data" ${PG_SETTINGS:-}
}

pg_start() {
    if pg_up; then return; fi
    launched_pid=$(pg_pid)
    if [ -z "$launched_pid" ]; then pg_launch; fi
    if ! wait_until 60 pg_settled || ! pg_up; then
        tail -n 20 "$STATE/postgres.log" >&2
        die "Postgres did not start; its last lines are above, its log is $STATE/postgres.log"
    fi
}

pg_stop() {
    local pid
    pid=$(pg_pid)
    if [ -z "$pid" ]; then return; fi
    kill -INT "$pid" 2>/dev/null || true
    if ! wait_until 30 gone "$pid"; then
        say "postgres: the fast shutdown took over 30 s, stopping at once"
        kill -QUIT "$pid" 2>/dev/null || true
        wait_until 10 gone "$pid" || pg_kill
    fi
}

# As a crash would: nobody is asked, and no child lives on that could hold the shared memory.
pg_kill() {
    local pid children child
    pid=$(pg_pid)
    if [ -z "$pid" ]; then return; fi
    children=$(ps -A -o pid= -o ppid= | awk -v parent="$pid" '$2 == parent { print $1 }')
    kill -KILL "$pid" 2>/dev/null || true
    wait_until 10 gone "$pid" || die "Postgres (pid $pid) survived kill -9"
    for child in $children; do
        if ! wait_until 1 gone "$child"; then kill -KILL "$child" 2>/dev/null || true; fi
        wait_until 10 gone "$child" || die "a Postgres process (pid $child) survived kill -9"
    done
}
