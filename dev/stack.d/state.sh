# shellcheck shell=bash disable=SC2034,SC2153,SC2154 # Variables cross the files of this folder.
# What a stack remembers between two calls: ports, passwords, certificates. Sourced by dev/stack.
#
# STATE is <clone>/.dev/NAME, or $PIPECTL_STACK_DIR/NAME. Everything of a stack lies below it, with one exception:
# started by root, Postgres runs as another user, and where that user cannot enter STATE (a clone below /root) or the
# path is too long for a socket, its data lies in /var/tmp/pipectl-<checksum of STATE>. `status` shows the place.

STATE_FILE_VERSION=1

# True if something listens on this port of the loopback.
port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below the range the kernel gives to outgoing connections, or a client's own port could take ours.
free_port() { # PORTS NOT TO TAKE…
    local port
    for _ in $(seq 200); do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        case " $* " in *" $port "*) continue ;; esac
        if ! port_taken "$port"; then
            printf '%s\n' "$port"
            return
        fi
    done
    die "found no free port between 20000 and 32000"
}

random_password() { openssl rand -hex 16; }

# Percent-encodes a password for a URL.
url_encode() {
    local text=$1 out='' char i
    for ((i = 0; i < ${#text}; i++)); do
        char=${text:i:1}
        case $char in
            [a-zA-Z0-9._~-]) out+=$char ;;
            *) out+=$(printf '%s' "$char" | od -An -tx1 | tr -d '\n' | sed 's/ /%/g' | tr a-f A-F) ;;
        esac
    done
    printf '%s' "$out"
}

# Every server, with the variables of its ports and what these are in the stack `dev`.
server_ports() { # SERVER
    case $1 in
        postgres) echo PG_PORT=25432 ;;
        clickhouse) echo CH_PORT=28123 CH_TCP_PORT=29000 ;;
        kafka) echo KAFKA_PORT=29092 KAFKA_SASL_PORT=29094 KAFKA_SSL_PORT=29095 KAFKA_CONTROLLER_PORT=29093 ;;
        connect) echo CONNECT_PORT=28083 ;;
        registry) echo REGISTRY_PORT=28081 ;;
    esac
}

# Sets the variables of this stack: what is remembered, and ports of the environment for servers that do not run.
load_state() {
    local key value server port name saved
    local -A saved_ports=()
    if [ -r "$STATE/state" ]; then
        while IFS='=' read -r key value; do
            case $key in
                saved_*_port) saved_ports[$key]=$value ;;
                pg_password | pg_admin_password | ch_password | kafka_password | pg_home | with_kafka | with_registry)
                    printf -v "$key" '%s' "$value" ;;
            esac
        done <"$STATE/state"
    fi
    for server in "${SERVERS[@]}"; do
        for port in $(server_ports "$server"); do
            name=${port%%=*}
            saved=${saved_ports[saved_${name,,}]:-}
            # Of a server that runs, the remembered one is true.
            if [ -n "$saved" ]; then
                if [ -z "${!name:-}" ] || [ -n "$(on_server pid "$server")" ]; then printf -v "$name" '%s' "$saved"; fi
            fi
        done
    done
}

save_state() {
    local server port name
    (
        umask 077
        {
            printf '%s\n' "version=$STATE_FILE_VERSION" "pg_password=$pg_password" "pg_admin_password=$pg_admin_password" \
                "ch_password=$ch_password" "kafka_password=$kafka_password" "pg_home=$pg_home" \
                "with_kafka=$with_kafka" "with_registry=$with_registry"
            for server in "${SERVERS[@]}"; do
                for port in $(server_ports "$server"); do
                    name=${port%%=*}
                    if [ -n "${!name:-}" ]; then printf 'saved_%s=%s\n' "${name,,}" "${!name}"; fi
                done
            done
        } >"$STATE/state.new"
    )
    mv -f "$STATE/state.new" "$STATE/state"
}

# The stack `dev` has fixed ports, so that they can be learnt by heart; every other stack takes free ones.
choose_ports() {
    local server port name taken=() chosen
    for server in "${SERVERS[@]}"; do
        if ! wanted "$server"; then continue; fi
        for port in $(server_ports "$server"); do
            name=${port%%=*}
            if [ -z "${!name:-}" ]; then
                if [ "$NAME" = dev ]; then chosen=${port#*=}; else chosen=$(free_port "${taken[@]}") || exit 1; fi
                printf -v "$name" '%s' "$chosen"
            fi
            taken+=("${!name}")
        done
    done
}

prepare_state() {
    mkdir -p "$STATE"
    choose_ports
    pg_password=${PG_PASSWORD:-${pg_password:-$(random_password)}}
    pg_admin_password=${PG_ADMIN_PASSWORD:-${pg_admin_password:-$(random_password)}}
    ch_password=${CH_PASSWORD:-${ch_password:-$(random_password)}}
    # Made once, with the storage: a later one would not be known to SCRAM.
    kafka_password=${kafka_password:-${KAFKA_PASSWORD:-$(random_password)}}
    case $kafka_password in *[!A-Za-z0-9._~-]*) die "KAFKA_PASSWORD may hold A-Z, a-z, 0-9 and . _ ~ - only" ;; esac
    pg_home=${pg_home:-$(choose_pg_home)}
    make_certificates
    save_state
}

# A certificate authority with a server and a client certificate, and a stranger's authority to refuse.
make_certificates() {
    local tls="$STATE/tls"
    if [ -s "$tls/complete" ]; then return; fi
    rm -rf "$tls"
    mkdir -p "$tls"
    cat >"$tls/openssl.cnf" <<'EOF'
[req]
distinguished_name = dn
prompt = no
[dn]
CN = pipectl development stack
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost,IP:127.0.0.1
[client]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
EOF
    (
        cd "$tls"
        umask 077
        authority ca "/CN=pipectl development CA"
        authority wrong-ca "/CN=a CA that signed nothing here"
        signed server /CN=localhost
        signed client /CN=pipectl_cert
        chmod 644 ./*.crt
        echo yes >complete
    ) >"$STATE/openssl.log" 2>&1 || {
        tail -n 10 "$STATE/openssl.log" >&2
        die "could not make the certificates with openssl"
    }
}

authority() { # NAME SUBJECT
    openssl req -x509 -config openssl.cnf -extensions ca -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
        -days 3650 -subj "$2" -keyout "$1.key" -out "$1.crt"
}

signed() { # NAME SUBJECT
    openssl req -new -config openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
        -subj "$2" -keyout "$1.key" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 \
        -extfile openssl.cnf -extensions "$1" -out "$1.crt"
}

# True if the process lives and is the one that was started for this stack: a pid alone may have been given away again.
is_ours() { # PID TEXT OF ITS COMMAND LINE
    local line
    if [ -z "$1" ] || gone "$1"; then return 1; fi
    line=$(ps -ww -o args= -p "$1" 2>/dev/null) || return 1
    case $line in *"$2"*) ;; *) return 1 ;; esac
}

# Waits until a command succeeds, at most SECONDS.
wait_until() { # SECONDS COMMAND…
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        if [ "$SECONDS" -ge "$deadline" ]; then return 1; fi
        sleep 0.1
    done
}

# Starts a server that outlives this script and does not hear the terminal's Ctrl-C.
launch() { # LOG COMMAND…
    local log=$1
    shift
    if have setsid; then
        setsid "$@" </dev/null >>"$log" 2>&1 &
    else
        nohup "$@" </dev/null >>"$log" 2>&1 &
    fi
    launched_pid=$!
}

# A zombie is gone too: whoever started it may not have collected it yet. Not so one whose other threads are still on their way
# out, and hold its ports: a JVM, for a moment after kill -9.
gone() {
    local state
    state=$(ps -o stat= -p "$1" 2>/dev/null) || return 0
    case $state in Z*l*) return 1 ;; '' | Z*) return 0 ;; *) return 1 ;; esac
}
