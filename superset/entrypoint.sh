#!/usr/bin/env bash
# `init` makes what is missing in Superset's database and ends; `serve` runs the server. Both may be run at any time again.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

case ${1:-serve} in
    init) exec python "$HERE/provision.py" ;;
    serve)
        exec gunicorn --bind "${SUPERSET_BIND:-0.0.0.0:8088}" --workers "${SUPERSET_WORKERS:-1}" --worker-class gthread --threads 8 \
            --timeout 120 "superset.app:create_app()"
        ;;
    *)
        echo "error: \"$1\" is neither init nor serve" >&2
        exit 2
        ;;
esac
