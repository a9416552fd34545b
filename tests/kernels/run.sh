#!/bin/sh
# Boots kernels and prints what ksmrun does on each: all known ones, or the named ones, as
# in `tests/kernels/run.sh 6.6 6.12.43 6.12-arm64-16k`. Needs what `tests/run.sh --full` installs.
set -eu
cd "$(dirname "$0")/.."
[ -x ../.venv/bin/python ] || {
    echo "no .venv with ksmrun in it; to do: tests/run.sh --full" >&2
    exit 1
}
export PYTHONPATH=common
exec ../.venv/bin/python -m kernels.matrix "$@"
