#!/bin/sh
# packages.sh [--quick | --release | --fleets | --full]: installs those of Debian's packages that are missing:
# for tests/run.sh quick, for every step, for tests/release or tests/fleets too, or for all long runs.
set -eu

# For quick.sh; libcap-dev is what python-prctl is built with.
packages="gcc libc6-dev musl-tools cmake ninja-build python3-dev python3-venv libcap-dev libcmocka-dev clang-format git
    procps util-linux"
if [ "${1-}" != --quick ]; then
    packages="$packages gcc-12-multilib ccache make libcap2-bin gdb shellcheck gcc-aarch64-linux-gnu libc6-dev-arm64-cross
        qemu-user mount strace valgrind user-mode-linux qemu-system-x86 qemu-system-arm busybox-static cpio ddnet-server
        openttd openttd-opengfx wordnet-base iso-codes python3 perl stress-ng bubblewrap redis-tools redis-server
        libpython3.11-testsuite libjemalloc2 libfaketime fakeroot linux-perf sudo podman runc conmon lua5.2 lua5.3 lua5.4
        luajit liblua5.2-0 liblua5.3-0 liblua5.4-0 libluajit-5.1-2 ruby openssl uuid-runtime libsodium23
        libgcrypt20"
    # For tests/fuzz.
    packages="$packages clang libclang-rt-14-dev"
    # For examples/game-fleet.
    packages="$packages lua-socket ddnet-data"
    # For tests/containers; tini is also PID 1 of the namespaces that tests run in.
    packages="$packages crun containerd docker.io catatonit tini dumb-init skopeo docker-compose tmux uidmap"
    # For tests/systemd and tests/release.
    packages="$packages systemd-container mmdebstrap rpm"
    # For examples/monitoring; promtool comes with it.
    packages="$packages prometheus"
fi
if [ "${1-}" = --release ] || [ "${1-}" = --full ]; then
    packages="$packages lintian openssh-client zstd"
fi
if [ "${1-}" = --fleets ] || [ "${1-}" = --full ]; then
    # For tests/fleets.
    packages="$packages openssh-client slurmctld slurmd slurm-client libslurm-dev"
    # For tests/fleets/cluster.py, and kubernetes.sh, which builds it.
    packages="$packages golang-1.19-go dpkg-dev etcd-server containernetworking-plugins iproute2"
fi
if [ "${1-}" = --full ]; then
    # For the kernels that tests/kernels/patched.py builds.
    packages="$packages flex bison bc libelf-dev xz-utils"
    # For the long runs of tests/suites.
    packages="$packages nodejs curl dpkg-dev postgresql-15 nginx-light php8.2-fpm openssh-server wrk
        libtcmalloc-minimal4 libmimalloc2.0 libtbbmalloc2"
    # For the HTML page of a report.
    packages="$packages chromium fonts-dejavu-core"
    # For the runtimes in tests/layout, besides Node.
    packages="$packages golang-go rustc openjdk-17-jdk-headless sbcl"
    # For tests/bench/runtimes.py.
    packages="$packages php8.2-cli mono-runtime mono-mcs etcd-server openarena-server minetest-server"
fi

# shellcheck disable=SC2086 # a list of words
set -- $packages
command -v dpkg-query >/dev/null || {
    echo "this is not Debian, so nothing is installed; the tests need what is in: $*" >&2
    exit 0
}
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p')
missing=$(printf '%s\n' "$@" | grep -vxF "$installed" | xargs)
[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] || {
    echo "packages are missing, and only root can install them; to do: sudo apt-get install $missing" >&2
    exit 1
}
apt-get update -qq
# The first two prevent packages from starting their services: the tests start their own.
# shellcheck disable=SC2086 # a list of words
RUNLEVEL=1 SYSTEMD_OFFLINE=1 DEBIAN_FRONTEND=noninteractive \
    apt-get install -qq -y -o DPkg::Lock::Timeout=600 --no-install-recommends $missing >/dev/null
