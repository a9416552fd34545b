#!/bin/sh
# prepare.sh [--release | --fleets | --full]: installs what the tests need, and the wheel into build/venv. Results that take
# long are cached outside the repository, under a hash of their sources.
set -eu
cd "$(dirname "$0")/.."
full=
[ "${1-}" != --full ] || full=1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ksmrun-tests

tests/packages.sh "$@"

# Cached compiler results are valid for any folder of the sources.
export CMAKE_C_COMPILER_LAUNCHER=ccache CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
pip() { build/venv/bin/python -m pip --disable-pip-version-check -qq "$@"; }
[ -x build/venv/bin/python ] || "${PYTHON:-python3}" -m venv build/venv
sources=$(find pyproject.toml README.md LICENSE ksmrun native -type f ! -path '*/__pycache__/*' ! -path 'ksmrun/libexec/*' ! -path ksmrun/commit |
    LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-16)
kept=$cache/dist/$sources-$(uname -m)
[ -d "$kept" ] || {
    pip install build
    rm -rf dist
    # The wheel is built from the sdist, which shows that both are complete.
    build/venv/bin/python -m build --outdir dist . >/dev/null
    mkdir -p "$cache/dist"
    cp -r dist "$kept.$$"
    mv -T "$kept.$$" "$kept" 2>/dev/null || rm -r "$kept.$$"
}
extras="test${full:+,bench}"
if [ "$sources $extras" != "$(cat build/venv/installed 2>/dev/null)" ]; then
    rm -rf dist build/venv/installed
    cp -r "$kept" dist
    # All that the wheel needs is copied in 2 s; pip takes 16 s for it. Scripts name the interpreter by its
    # path, in another way if that is long or has blanks.
    python=$(build/venv/bin/python -c 'import sys; print(sys.version, sys.base_prefix)')
    needed=$cache/venvs/$(echo "$python" | cat - pyproject.toml | sha256sum | cut -c1-16)-$extras
    case $PWD in *[!A-Za-z0-9/._-]*) needed= ;; esac
    [ ${#PWD} -le 80 ] || needed=
    if [ -n "$needed" ] && [ -d "$needed" ]; then
        cp -a --reflink=auto "$needed/." build/venv
        grep -lIZ '^#!/.*/build/venv/bin/python' build/venv/bin/* |
            xargs -0 sed -i "1s|^#!.*|#!$PWD/build/venv/bin/python|"
    else
        # Python compiles what it imports of hundreds of packages.
        pip install --no-compile "$(echo dist/*.whl)[$extras]"
        pip uninstall --yes ksmrun
        [ -z "$needed" ] || {
            mkdir -p "$needed.$$"
            cp -a build/venv/bin build/venv/lib "$needed.$$"
            mv -T "$needed.$$" "$needed" 2>/dev/null || rm -r "$needed.$$"
        }
    fi
    pip install --no-compile --force-reinstall --no-deps dist/*.whl
    echo "$sources $extras" >build/venv/installed
fi
# For an installation without network and compiler; pip, because Debian's Python has none.
needs=$(sed -n '/^dependencies/,/^]/p' pyproject.toml | sha256sum | cut -c1-16)
house=$cache/wheels/$needs-$(build/venv/bin/python -c 'import sysconfig; print(sysconfig.get_config_var("SOABI"))')
[ -d "$house" ] || {
    pip wheel --wheel-dir "$house.$$" dist/*.whl pip
    rm "$house.$$"/ksmrun-*.whl
    mv -T "$house.$$" "$house" 2>/dev/null || rm -r "$house.$$"
}
ln -sfn "$house" build/wheels
