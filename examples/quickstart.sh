#!/bin/sh
# Sets everything up on a fresh Debian 12, then shows what merging saves on real programs: 8 copies
# of each, first without and then with it. KSM is restored afterwards, also after Ctrl-C or kill -9.
#
#   sh examples/quickstart.sh [--copies N] [--program ddnet|openttd|python]...
set -eu
cd "$(dirname "$0")/.."

packages="gcc libc6-dev musl-tools cmake ninja-build python3-dev python3-venv libcap-dev
    ddnet-server openttd openttd-opengfx wordnet-base iso-codes"
missing=
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing="$missing $package"
done
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ]; then
        echo "quickstart: installing$missing"
        # shellcheck disable=SC2086 # a list of words
        output=$({ apt-get update && DEBIAN_FRONTEND=noninteractive \
            apt-get install -y --no-install-recommends $missing; } 2>&1) || {
            echo "$output" | tail -n 5 >&2
            echo "quickstart: apt-get failed; the lines above say why" >&2
            exit 1
        }
    else
        echo "quickstart: not root, so these packages are not installed; to do: sudo apt-get install$missing"
    fi
fi

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "quickstart: $python is older than 3.11; name a newer one: PYTHON=python3.12 $0" >&2
    exit 1
}
# KSMRUN_VENV may name an environment that already has ksmrun.
venv=${KSMRUN_VENV:-}
[ -n "$venv" ] || {
    venv=.venv
    echo "quickstart: building and installing ksmrun into $venv"
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check .
}
exec "$venv/bin/python" examples/quickstart.py "$@"
