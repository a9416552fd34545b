#!/bin/sh
# prepare.sh [--full]: installs what the tests need, and the wheel into build/venv. Results that take
# long are cached outside the repository, under a hash of their sources.
set -eu
cd "$(dirname "$0")/.."
full=
[ "${1-}" != --full ] || full=1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ksmrun-tests

packages="gcc gcc-12-multilib libc6-dev musl-tools cmake ninja-build ccache python3-dev python3-venv libcap-dev
    libcap2-bin gdb clang-format shellcheck libcmocka-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
    util-linux mount strace valgrind user-mode-linux
    qemu-system-x86 qemu-system-arm busybox-static cpio ddnet-server openttd openttd-opengfx wordnet-base iso-codes
    python3 perl stress-ng bubblewrap redis-tools redis-server libpython3.11-testsuite libjemalloc2 libfaketime fakeroot
    linux-perf procps sudo podman runc conmon lua5.2 lua5.3 lua5.4 luajit liblua5.2-0 liblua5.3-0 liblua5.4-0
    libluajit-5.1-2 ruby openssl uuid-runtime"
# For tests/fuzz.
packages="$packages clang libclang-rt-14-dev"
# For examples/game-fleet.
packages="$packages lua-socket ddnet-data"
# For tests/containers; tini is also PID 1 of the namespaces that tests run in.
packages="$packages crun containerd docker.io catatonit tini dumb-init skopeo docker-compose tmux uidmap"
# For tests/systemd.
packages="$packages systemd-container mmdebstrap"
# For examples/monitoring; promtool comes with it.
packages="$packages prometheus"
if [ -n "$full" ]; then
    # For the kernels that tests/kernels/patched.py builds.
    packages="$packages flex bison bc libelf-dev make xz-utils"
    # For the long runs of tests/suites.
    packages="$packages git nodejs curl dpkg-dev postgresql-15 nginx-light
        php8.2-fpm openssh-server wrk libtcmalloc-minimal4 libmimalloc2.0"
    # For the HTML page of a report.
    packages="$packages chromium fonts-dejavu-core"
    # For the runtimes in tests/layout, besides Node.
    packages="$packages golang-go rustc openjdk-17-jdk-headless"
    # For tests/bench/runtimes.py.
    packages="$packages php8.2-cli mono-runtime mono-mcs etcd-server openarena-server minetest-server"
fi
missing=
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing="$missing $package"
done
if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] || {
        echo "missing, and not root; to do: sudo apt-get install$missing" >&2
        exit 1
    }
    apt-get update -qq
    # The first two prevent packages from starting their services: the tests start their own.
    # shellcheck disable=SC2086 # a list of words
    RUNLEVEL=1 SYSTEMD_OFFLINE=1 DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends $missing >/dev/null
fi

# Cached compiler results are valid for any folder of the sources.
export CMAKE_C_COMPILER_LAUNCHER=ccache CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
pip() { build/venv/bin/python -m pip --disable-pip-version-check -qq "$@"; }
[ -x build/venv/bin/python ] || "${PYTHON:-python3}" -m venv build/venv
sources=$(find pyproject.toml README.md LICENSE ksmrun native -type f ! -path '*/__pycache__/*' ! -path 'ksmrun/libexec/*' |
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
wanted="$sources test${full:+,bench}"
if [ "$wanted" != "$(cat build/venv/installed 2>/dev/null)" ]; then
    rm -rf dist build/venv/installed
    cp -r "$kept" dist
    for wheel in dist/*.whl; do
        pip install "${wheel}[test${full:+,bench}]"
        pip install --force-reinstall --no-deps "$wheel"
    done
    echo "$wanted" >build/venv/installed
fi
