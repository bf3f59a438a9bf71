#!/usr/bin/env bash
# Installs what the tests need and runs all of them. Works on a fresh Debian machine with Rust.
#   tests/run.sh            all tests
#   tests/run.sh NAME       only tests whose name contains NAME
set -euo pipefail
cd "$(dirname "$0")/.."

# SQLite and zstd are built from their C sources: a C compiler is all that is needed beside Rust.
if ! command -v cc >/dev/null 2>&1; then
    echo "tests/run.sh: installing a C compiler"
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends gcc libc6-dev
fi

if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run "$@"
else
    cargo test --lib --bins --tests --examples "$@"
fi
cargo test --doc "$@"
