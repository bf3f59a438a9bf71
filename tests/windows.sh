#!/usr/bin/env bash
# Checks, builds and tries the program for Windows, on a Debian 12 machine of amd64: by Debian's Rust and mingw, under its Wine 8.
# Nothing is installed: the packages are unpacked below the target folder (320 MB to download; 5 GB on disk with what is built),
# and stay there for the next time. It takes about a quarter of an hour, and is no part of tests/run.sh.
#   tests/windows.sh              all of it
#   tests/windows.sh NAME         only unit tests whose name contains NAME
set -Eeuo pipefail
trap 'echo "tests/windows.sh: failed in line $LINENO" >&2' ERR
cd "$(dirname "$0")/.."

target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
W=$target/windows
R=$W/root
lib=$R/usr/lib/x86_64-linux-gnu

# What apt would install for these packages on this machine.
list() { apt-get install -s --no-install-recommends "$@" | awk '/^Inst/ { print $2 }'; }

# The Rust of rustup has no standard library for Windows at hand where only Debian's mirror is. Debian's newest one (rustc-web)
# comes with the library's source, and cargo builds that (-Zbuild-std).
unpack() {
    mkdir -p "$W"/{debs,bin,home} "$R"
    (
        cd "$W/debs"
        {
            list rustc-web cargo-web rust-web-src rust-web-clippy
            list gcc-mingw-w64-x86-64-win32
            # Wine has NTLM from winbind's ntlm_auth.
            list wine64 winbind
        } | sort -u | xargs apt-get download -qq
        for deb in *.deb; do dpkg -x "$deb" "$R"; done
    )
    for tool in gcc gcc-ar gcc-ranlib; do
        ln -sf "$R/usr/bin/x86_64-w64-mingw32-$tool-win32" "$W/bin/x86_64-w64-mingw32-${tool#gcc-}"
    done
    # What the package's installation does: Wine takes a library for its own by this mark.
    {
        head -c 64 "$R/usr/x86_64-w64-mingw32/lib/zlib1.dll"
        printf 'Wine builtin DLL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
        tail -c +97 "$R/usr/x86_64-w64-mingw32/lib/zlib1.dll"
    } >"$lib/wine/x86_64-windows/zlib1.dll"
    # The script in its place has the path that it is installed to.
    cp "$R/usr/lib/wine/wineserver64" "$R/usr/lib/wine/wineserver"
}

make_wine() {
    cat >"$W/wine.sh" <<X
#!/bin/bash
export WINEPREFIX=$W/prefix WINEARCH=win64 WINEDEBUG=\${WINEDEBUG:--all} HOME=$W/home
export WINEDLLOVERRIDES='mscoree,mshtml=' LD_LIBRARY_PATH=$lib:$lib/samba PATH=$R/usr/bin:\$PATH
unset DISPLAY
exec $R/usr/lib/wine/wine64 "\$@"
X
    chmod +x "$W/wine.sh"
    "$W/wine.sh" wineboot -i >"$W/wineboot.log" 2>&1
    # The standard library asks for random bytes here, which Wine 8 does not have under this name.
    cat >"$W/prng.c" <<'X'
#include <windows.h>
#include <ntsecapi.h>
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE p, SIZE_T n) { return RtlGenRandom(p, (ULONG)n); }
X
    x86_64-w64-mingw32-gcc -O1 -shared "$W/prng.c" -ladvapi32 \
        -o "$W/prefix/drive_c/windows/system32/bcryptprimitives.dll"
}

[ -e "$W/made" ] || unpack
export LD_LIBRARY_PATH=$lib PATH=$W/bin:$R/usr/bin:$PATH
export RUSTC=$R/usr/bin/rustc RUSTDOC=$R/usr/bin/rustdoc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$W/target
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=$W/bin/x86_64-w64-mingw32-gcc
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=$W/wine.sh
[ -e "$W/made" ] || make_wine
touch "$W/made"

for_windows=(-Zbuild-std=std,panic_unwind,test --target x86_64-pc-windows-gnu)
cargo clippy "${for_windows[@]}" --lib --bins --tests -- -D warnings
cargo build "${for_windows[@]}" --bins
# Wine's certificate chains know no roots of one's own, which --ca-file has: these tests cannot run under it.
cargo test "${for_windows[@]}" --lib -- ${1:+"$1"} --skip client::tests::tls --skip client::tests::proxies \
    --skip a_time_out_before_the_request_is_certain

# The program itself: a rehearsal, then a run that is killed and goes on, in a folder of their own.
here=$(mktemp -d)
trap 'kill "$(cat "$here/server.pid")" 2>/dev/null; rm -rf "$here"' EXIT
cp samples/onboarding.csv "$here/wave.csv"
cd "$here"
cmbatch() { "$W/wine.sh" "$W/target/x86_64-pc-windows-gnu/debug/cmbatch.exe" "$@"; }
cmbatch validate wave.csv
cmbatch submit wave.csv --simulate --rate unlimited
cmbatch status wave.rehearsal.ledger
cmbatch export wave.rehearsal.ledger --format csv --output results.csv
[ "$(grep -c ,created, results.csv)" = 250 ]

exe=$W/target/x86_64-pc-windows-gnu/debug/cmbatch.exe
"$W/wine.sh" "$exe" simulate --port 0 >address 2>server.log &
echo $! >server.pid
until [ -s address ]; do sleep 0.1; done
server=$(tr -d '\r\n' <address)
"$W/wine.sh" "$exe" submit wave.csv --server "$server" --rate 50/s &
run=$!
sleep 3
kill -9 "$run"
wait "$run" || true
cmbatch submit wave.csv --server "$server" --rate unlimited --settle 1s --server-limit 5s --json >summary.json
grep -q '"created": *250' summary.json
curl -sS --noproxy '*' "$server/api/v1.0/requests" | grep -o '"Uuid":' | wc -l | grep -qx 250
echo "tests/windows.sh: built, checked and run under Wine; 250 rows were created once each, through a kill"
