# For the scripts beside it: a temporary folder, packages in it, a private PostgreSQL. Source it.
set -euo pipefail
WORK=$(mktemp -d)
cleanup() {
    if [ -n "${MOCK_PID:-}" ]; then kill "$MOCK_PID" 2>/dev/null || true; fi
    if [ -n "${PG_BIN:-}" ]; then as_postgres "$PG_BIN/pg_ctl" -D "$WORK/pg/data" -m immediate stop >/dev/null 2>&1 || true; fi
    rm -rf "$WORK"
}
trap cleanup EXIT
cd "$WORK"

# with_python PACKAGE==VERSION …: a virtual environment with these; then `$PYTHON`.
with_python() {
    python3 -m venv "$WORK/venv"
    PYTHON="$WORK/venv/bin/python"
    "$PYTHON" -m pip install --quiet --disable-pip-version-check "$@"
}

# with_node PACKAGE@VERSION …: they are in `node_modules` of the temporary folder.
with_node() {
    echo '{"private": true}' >package.json
    npm install --silent --no-audit --no-fund --ignore-scripts "$@"
}

# with_rust: a project of the dependencies on standard input; `src/main.rs` is the caller's to write. Then `run_rust`.
with_rust() {
    mkdir -p src
    { printf '[package]\nname = "finding"\nversion = "0.0.0"\nedition = "2024"\n\n[dependencies]\n'; cat; } >Cargo.toml
}
run_rust() {
    CARGO_TARGET_DIR="$WORK/target" cargo run --quiet
}

as_postgres() {
    if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; else "$@"; fi
}

# with_postgres: an empty cluster on a socket in the temporary folder; then `$PG_DIR` (for `-h`) and `$PG_BIN`.
with_postgres() {
    PG_BIN=${DEV_PG_BIN:-$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)}
    PG_DIR="$WORK/pg"
    chmod 755 "$WORK"
    mkdir "$PG_DIR"
    if [ "$(id -u)" = 0 ]; then chown postgres "$PG_DIR"; fi
    as_postgres "$PG_BIN/initdb" -D "$PG_DIR/data" -U finding -A trust --locale=C -E UTF8 >/dev/null
    as_postgres "$PG_BIN/pg_ctl" -D "$PG_DIR/data" -w -l "$PG_DIR/log" -o "-c listen_addresses='' -c unix_socket_directories='$PG_DIR'" start >/dev/null
}
sql() {
    psql -h "$PG_DIR" -U finding -d postgres -X -q -A -t -v ON_ERROR_STOP=1 "$@"
}

# same: compares the file "$1" with what was seen (standard input).
same() {
    if diff -u - "$1" >"$WORK/diff"; then
        echo "As it was seen."
    else
        echo "It has changed:" >&2
        cat "$WORK/diff" >&2
        exit 1
    fi
}
