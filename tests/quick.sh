#!/bin/sh
# quick.sh: a developer's loop, in seconds. Builds this source tree, makes .venv import it, and runs
# the style checks beside the C tests and the unit tests; failures are shown last.
set -eu
cd "$(dirname "$0")/.."
trap 'trap - TERM; kill 0' HUP INT TERM
tests/packages.sh --quick
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' ksmrun/__init__.py)

if ! cmp -s pyproject.toml .venv/editable; then
    [ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv
    # What builds python-prctl, too: without isolation pip fetches neither.
    .venv/bin/python -m pip install -qq --disable-pip-version-check 'scikit-build-core>=0.10' setuptools wheel
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-build-isolation --editable '.[test]'
    cp pyproject.toml .venv/editable
fi
# The install's own finder knows only the modules that there were; a path finds new and moved ones.
for file in .venv/lib/python3*/site-packages/_*ksmrun*.pth; do
    echo "$PWD" >"$file"
done
mkdir -p build/quick
export PATH="$PWD/.venv/bin:$PATH"

style() {
    ruff format --check --quiet . && ruff check --quiet . && mypy ksmrun native tests examples
}
# Files that differ from the last commit.
changed_c() {
    files=$({ git diff --name-only --diff-filter=d HEAD; git ls-files --others --exclude-standard; } |
        grep '\.[ch]$' | grep -v third_party) || return 0
    echo "$files" | xargs clang-format --dry-run -Werror
}
native() {
    cmake -S native -B build/dev -G Ninja -DSKBUILD_SCRIPTS_DIR="$PWD/.venv/bin" \
        -DSKBUILD_PROJECT_VERSION="$version" -DKSMRUN_WERROR=ON >/dev/null &&
        cmake --build build/dev && cmake --install build/dev --prefix . &&
        cmake -S native -B build/address,undefined -G Ninja -DKSMRUN_WERROR=ON \
            -DKSMRUN_SANITIZE=address,undefined >/dev/null &&
        cmake --build build/address,undefined && ctest --test-dir build/address,undefined -j2 --output-on-failure
}
unit() {
    # None of them needs KSM: nothing is to be restored, and no run that has it is waited for.
    export KSMRUN_KSM_GUARDED=1
    cd tests && python -m pytest -q -n2 --dist=loadgroup --no-loadscope-reorder -m "not slow" unit
}

# The launcher comes first: unit tests run it.
red=
native >build/quick/native 2>&1 || red=native
style >build/quick/style 2>&1 &
styling=$!
changed_c >build/quick/clang-format 2>&1 || red="$red clang-format"
(unit) >build/quick/unit 2>&1 || red="$red unit"
wait $styling || red="$red style"
for step in $red; do
    echo "== $step"
    cat "build/quick/$step"
done
tail -1 build/quick/unit
[ -z "$red" ] || {
    echo "red: $red"
    exit 1
}
