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
new_venv() { rm -rf build/venv && "${PYTHON:-python3}" -m venv "$@" build/venv; }

# All that the wheel needs is copied in 2 s; pip takes 16 s for it. Scripts name the interpreter by its
# path, in another way if that is long or has blanks.
extras="test${full:+,bench}"
python=$("${PYTHON:-python3}" -c 'import sys; print(sys.version, sys.base_prefix)')
needs=$(echo "$python" "$extras" | cat - pyproject.toml | sha256sum | cut -c1-16)
copy=$cache/venvs/$needs
case $PWD in *[!A-Za-z0-9/._-]*) copy= ;; esac
[ ${#PWD} -le 80 ] || copy=
if [ "$needs" != "$(cat build/venv/needs 2>/dev/null)" ]; then
    if [ -n "$copy" ] && [ -d "$copy" ]; then
        new_venv --without-pip
        cp -a --reflink=auto "$copy/." build/venv
        grep -lIZ '^#!/.*/build/venv/bin/python' build/venv/bin/* |
            xargs -0 sed -i "1s|^#!.*|#!$PWD/build/venv/bin/python|"
        echo "$needs" >build/venv/needs
    else
        new_venv
    fi
fi

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
if [ "$sources" != "$(cat build/venv/installed 2>/dev/null)" ]; then
    rm -rf dist
    cp -r "$kept" dist
    if [ ! -e build/venv/needs ]; then
        # Python compiles what it imports of hundreds of packages.
        pip install --no-compile "$(echo dist/*.whl)[$extras]"
        pip uninstall --yes ksmrun
        [ -z "$copy" ] || {
            mkdir -p "$copy.$$"
            cp -a build/venv/bin build/venv/lib "$copy.$$"
            mv -T "$copy.$$" "$copy" 2>/dev/null || rm -r "$copy.$$"
        }
        echo "$needs" >build/venv/needs
    fi
    pip install --no-compile --force-reinstall --no-deps dist/*.whl
    echo "$sources" >build/venv/installed
fi
# For an installation without network and compiler; pip, because Debian's Python has none.
offline=$(sed -n '/^dependencies/,/^]/p' pyproject.toml | sha256sum | cut -c1-16)
house=$cache/wheels/$offline-$(build/venv/bin/python -c 'import sysconfig; print(sysconfig.get_config_var("SOABI"))')
[ -d "$house" ] || {
    pip wheel --wheel-dir "$house.$$" dist/*.whl pip
    rm "$house.$$"/ksmrun-*.whl
    mv -T "$house.$$" "$house" 2>/dev/null || rm -r "$house.$$"
}
ln -sfn "$house" build/wheels
