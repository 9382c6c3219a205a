# shellcheck shell=bash disable=SC2034,SC2154 # Variables cross these files.
# What the measurements have in common. Sourced by bench/run and bench/kafka, which set WORK and PIPECTL.

fail() {
    printf '\nthe bench failed: %s\n' "$*" >&2
    exit 1
}
tell() { printf '%s\n' "$*"; }

# A release build, unless there is a binary already.
build_pipectl() {
    if [ -z "${PIPECTL:-}" ]; then
        cargo build --release --locked
        PIPECTL="${CARGO_TARGET_DIR:-target}/release/pipectl"
    fi
    case $PIPECTL in /*) ;; *) PIPECTL="$PWD/$PIPECTL" ;; esac
}

sql() { "$PSQL" -X -q -A -t -v ON_ERROR_STOP=1 "$POSTGRES_URL" "$@"; }
ch() { curl -sS --fail-with-body --noproxy '*' "$CLICKHOUSE_URL/" --data-binary @-; }
ch_query() { ch <<<"$1"; }

# Merges of an earlier contender must not run on under the next one.
settle() {
    local deadline=$((SECONDS + 120))
    until [ "$(ch_query 'SELECT count() FROM system.merges')" = 0 ]; do
        [ "$SECONDS" -lt "$deadline" ] || break
        sleep 0.5
    done
}

now() { printf '%s\n' "${EPOCHREALTIME/./}"; }

# Runs pipectl sync, and sets: elapsed (µs), cpu (s), memory (kB), copied (µs from the start until the stream begins).
run_sync() { # CONFIGURATION
    local log="$WORK/sync.log" started line status=0
    started=$(now)
    /usr/bin/time -o "$WORK/time" -f '%U %S %M' "$PIPECTL" -c "$1" sync --until-caught-up 2>&1 >/dev/null |
        while IFS= read -r line; do printf '%s %s\n' "$(($(now) - started))" "$line"; done >"$log" || status=$?
    elapsed=$(($(now) - started))
    [ "$status" -eq 0 ] || fail "pipectl sync ended with exit code $status"
    read -r cpu memory < <(awk 'END { print $1 + $2, $3 }' "$WORK/time")
    copied=$(awk '/ streaming from / { print $1; exit }' "$log")
}

# A line of numbers that `report` reads: what was measured, of whom, in which round, microseconds, CPU seconds, kB.
note() { # PHASE CONTENDER ROUND µs [CPU [kB]]
    printf '%s %s %s %s %s %s\n' "$1" "$2" "$3" "$4" "${5:-0}" "${6:-0}" >>"$WORK/measured"
    printf '  %-9s %-15s round %s  %7.2f s  cpu %6.2f s  %4d MiB  (load %s)\n' "$1" "$2" "$3" "$(awk "BEGIN { print $4 / 1e6 }")" "${5:-0}" \
        $((${6:-0} / 1024)) "$(cut -d' ' -f1 /proc/loadavg)"
}

# Both sides must hold the same rows: their number, and sums over two columns.
compare() { # TABLE IN CLICKHOUSE
    local here there
    here=$(sql -F ' ' -c 'SELECT count(*), sum(id), sum(amount) FROM bench')
    there=$(ch_query "SELECT count(), sum(id), sum(amount) FROM $1 FINAL SETTINGS output_format_decimal_trailing_zeros = 1 FORMAT TSV" | tr '\t' ' ')
    [ "$here" = "$there" ] || fail "Postgres holds (rows, sum, sum) $here, $1 holds $there"
}
