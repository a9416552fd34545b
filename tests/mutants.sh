#!/bin/sh
# Changes the decisions of ksmrun in small ways, one at a time, and prints the changes that no test
# notices: half an hour for all modules of [tool.mutmut] in pyproject.toml, or only the named ones, as in
#     tests/mutants.sh plan wrap/execline
# It works on a copy. mutmut changes the bodies of undecorated functions, but no constants.
set -eu
cd "$(dirname "$0")/.."
venv=$PWD/.venv
"$venv/bin/python" -c 'import mutmut' 2>/dev/null ||
    "$venv/bin/python" -m pip --disable-pip-version-check -qq install 'mutmut>=3.8'
for module; do
    shift
    module=${module#ksmrun/}
    set -- "$@" "ksmrun.$(echo "${module%.py}" | tr / .).*"
done
folder=$(mktemp -d)
runs=
ended() {
    [ -z "$runs" ] || kill "$runs" 2>/dev/null || :
    wait
    rm -rf "$folder"
}
trap ended EXIT
trap 'exit 1' HUP INT TERM
cp -R ksmrun tests pyproject.toml "$folder"
# Without site.py no .pth file is read, through which an editable install would precede the copy.
packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
(cd "$folder" && PYTHONPATH=$packages exec nice -n 19 "$venv/bin/python" -S "$venv/bin/mutmut" \
    run --max-children 1 "$@") >"$folder/log" 2>&1 &
runs=$!
wait "$runs" || {
    cat "$folder/log" >&2
    exit 1
}
"$venv/bin/python" tests/common/mutant_table.py "$folder/mutants"
