#!/usr/bin/env bash
# Compares whole runs of cmbatch with bare client libraries, load generators and table engines, and writes the figures into
# benches/RESULTS.md (a section for each suite), benches/compare/runs/SUITE.csv (each single run) and benches/growth.svg.
#
#   benches/compare/run.sh                          all suites, about half an hour on two cores
#   benches/compare/run.sh submit validate          some of them
#   benches/compare/run.sh --rounds 1 --rows 2000 --out /tmp/trial.md
#                                                   a trial in two minutes, which writes nothing into the repository
#   benches/compare/run.sh --ten-million growth     with a run of ten million rows: about a quarter of an hour, 10 GB
#   benches/compare/run.sh --help                   all options
#
# Suites: start validate submit latency ledger reconcile growth pace sign-in.
#
# The contestants of a suite run in turn (A B C A B C ...), after a round that does not count, so that what slows the machine
# for a while touches all of them; leave it alone meanwhile. Everything is made in a fresh folder below $TMPDIR, which should be
# on a real disk (2 to 6 GB are needed at the usual sizes) and is removed; servers listen on free ports of loopback and are
# ended, after Ctrl-C too.
#
# Installed are, where missing: from Debian nginx with its echo module (a Debian that runs services starts it, too), hey,
# hyperfine, sqlite3, curl, time, binutils and findmnt, for sign-in a KDC, Apache, gss-ntlmssp and python3-gssapi; from PyPI duckdb, polars and aiohttp, into
# ${XDG_CACHE_HOME:-~/.cache}/cmbatch-compare.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

for word in "$@"; do
    if [ "$word" = --help ] || [ "$word" = -h ]; then exec python3 -B "$here/compare.py" --help; fi
done

# Installs a package where its file is missing.
need() {
    local file=$1 package=$2
    if [ ! -e "$file" ]; then
        echo "benches/compare/run.sh: installing $package"
        apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$package" >/dev/null; }
    fi
}

need /usr/sbin/nginx nginx-light
need /usr/lib/nginx/modules/ngx_http_echo_module.so libnginx-mod-http-echo
need /usr/bin/hey hey
need /usr/bin/hyperfine hyperfine
need /usr/bin/sqlite3 sqlite3
need /usr/bin/curl curl
need /usr/bin/time time
need /usr/bin/strip binutils
need /usr/bin/findmnt util-linux
need /usr/sbin/krb5kdc krb5-kdc
need /usr/sbin/kadmin.local krb5-admin-server
need /usr/sbin/apache2 apache2-bin
need /usr/lib/apache2/modules/mod_auth_gssapi.so libapache2-mod-auth-gssapi
need /etc/gss/mech.d/mech.ntlmssp.conf gss-ntlmssp
need /usr/lib/python3/dist-packages/gssapi python3-gssapi

venv=${XDG_CACHE_HOME:-$HOME/.cache}/cmbatch-compare/venv
if ! "$venv/bin/python" -c 'import duckdb, polars, aiohttp' 2>/dev/null; then
    echo "benches/compare/run.sh: installing duckdb, polars and aiohttp into $venv"
    python3 -c 'import ensurepip' 2>/dev/null || need /usr/lib/python3/dist-packages/ensurepip python3-venv
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q duckdb==2.0.1 polars==2.1.0 aiohttp==3.14.5
fi

# Cargo takes the folder that is built into from here.
CARGO_TARGET_DIR=$(cargo metadata --format-version 1 --no-deps |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
export CARGO_TARGET_DIR
# The program with its own profile, the plain loops with cargo's usual one, and the loop that sends with both.
cargo build --release --bin cmbatch --example bare
cargo build --profile plain --example bare --example samples

exec python3 -B "$here/compare.py" --venv "$venv" "$@"
