#!/usr/bin/env bash
# Installs what the tests need and runs all of them. Works on a fresh Debian machine with Rust.
#   tests/run.sh                  all tests
#   tests/run.sh NAME             only tests whose name contains NAME
#   tests/run.sh --torture N      the torture tests alone, with N kills in each
set -euo pipefail
cd "$(dirname "$0")/.."

# Installs a package where its program is missing.
need() {
    local program=$1
    shift
    if ! command -v "$program" >/dev/null 2>&1; then
        echo "tests/run.sh: installing $*"
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "$@"
    fi
}

# SQLite and zstd are built from their C sources: a C compiler is all that is needed beside Rust.
need cc gcc libc6-dev

if [ "${1:-}" = --torture ]; then
    CMBATCH_TORTURE_KILLS=${2:?how many kills?} cargo test --features peers --test torture -- --nocapture
    exit
fi

# The peers tests trace system calls, mount a small disk in a namespace of their own, and give up rights of root.
need strace strace
need unshare util-linux

# The Kerberos tests start a KDC and an Apache of their own; neither is started as a service.
export PATH=$PATH:/usr/sbin DEBIAN_FRONTEND=noninteractive
need krb5kdc krb5-kdc krb5-admin-server krb5-user
need apache2 apache2-bin
[ -e /usr/lib/apache2/modules/mod_auth_gssapi.so ] || need mod_auth_gssapi libapache2-mod-auth-gssapi
[ -e /etc/gss/mech.d/mech.ntlmssp.conf ] || need mech_ntlmssp gss-ntlmssp
need nginx nginx-light
# The system's Python, whatever other one stands first in the path.
/usr/bin/python3 -c 'import gssapi' 2>/dev/null || need python3-gssapi python3 python3-gssapi
need faketime faketime
need openssl openssl

# A forward proxy, without a service of its own.
need tinyproxy tinyproxy-bin

# The OAuth tests start a token server, which is installed beside the tests' other files.
target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
tests/peers/oidc/install.sh "$target/tmp/oidc"

# One set of features for all, so that the library is built once.
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --features peers "$@"
else
    cargo test --features peers --lib --bins --tests --examples "$@"
fi
cargo test --doc --features peers "$@"
