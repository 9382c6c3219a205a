# shellcheck shell=bash disable=SC2034,SC2153,SC2154 # Variables cross the files of this folder.
# A browser, and Python programs that are looked at in it. Sourced by dev/superset and dev/pgadmin, after packages.sh.

PLAYWRIGHT_VERSION=1.65.1
UV_VERSION=0.13.9

random_password() { openssl rand -hex 16; }

chromium_path() {
    local candidate
    for candidate in "${CHROMIUM:-}" chromium chromium-browser google-chrome-stable google-chrome; do
        if [ -n "$candidate" ] && have "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    die "there is no Chromium" "dev/install --browser"
}

# The driver alone: its own browsers are not fetched.
playwright_package() { PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm_package playwright-core "$PLAYWRIGHT_VERSION" package.json; }

# A Python of the versions that have wheels for what is installed here.
python_path() {
    local candidate
    for candidate in python3.11 python3.12 python3.10 python3; do
        if have "$candidate" && "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die "there is no Python 3.10, 3.11 or 3.12 with venv" "dev/install --browser"
}

# Prints the folder of an environment with exactly the packages of a lock file; makes it if it is not there yet.
python_environment() { # PLACE LOCK
    local place=$1 lock=$2 python log
    if [ ! -e "$place/complete" ]; then
        python=$(python_path) || exit 1
        say "installing $lock into $place (once)"
        rm -rf "$place"
        mkdir -p "$place"
        log="$place/install.log"
        # An environment knows its own place, so it is not made elsewhere and moved; only `complete` says that it is one.
        if ! {
            "$python" -m venv "$place" &&
                "$place/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION" &&
                nice "$place/bin/uv" pip install --quiet --python "$place/bin/python" --no-deps -r "$lock"
        } >"$log" 2>&1; then
            tail -n 15 "$log" >&2
            die "could not install $lock"
        fi
        touch "$place/complete"
    fi
    printf '%s\n' "$place"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Starts a server in a process group of its own. Sets `launched`.
launch_server() { # LOG COMMAND…
    local log=$1
    shift
    set -m
    "$@" </dev/null >"$log" 2>&1 &
    launched=$!
    set +m
}

end_process() { # PID
    if [ -z "$1" ]; then return 0; fi
    kill -TERM -- "-$1" 2>/dev/null || true
    for _ in $(seq 100); do
        if ! kill -0 -- "-$1" 2>/dev/null; then break; fi
        sleep 0.1
    done
    kill -KILL -- "-$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

wait_for_url() { # URL SECONDS PID LOG
    local deadline=$((SECONDS + $2))
    until curl -sf --noproxy '*' --max-time 5 -o /dev/null "$1"; do
        if ! kill -0 "$3" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
            tail -n 20 "$4" >&2
            die "there is no answer from $1"
        fi
        sleep 0.5
    done
}
