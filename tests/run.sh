#!/bin/sh
# Every test, on a machine that may be fresh: installs what it needs, checks the style, builds sdist
# and wheel, and tests the installed wheel. `tests/run.sh --full` adds the long runs.
set -eu
cd "$(dirname "$0")/.."
full=
[ "${1-}" != --full ] || full=1

step() {
    echo
    echo "== $*"
}

step "system packages"
packages="gcc gcc-12-multilib libc6-dev musl-tools cmake ninja-build python3-dev python3-venv libcap-dev libcap2-bin gdb
    clang-format shellcheck libcmocka-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
    util-linux mount strace valgrind user-mode-linux
    qemu-system-x86 qemu-system-arm busybox-static cpio ddnet-server openttd openttd-opengfx wordnet-base iso-codes
    python3 perl stress-ng bubblewrap redis-tools redis-server libpython3.11-testsuite libjemalloc2 libfaketime fakeroot
    linux-perf procps sudo podman runc conmon lua5.2 lua5.3 lua5.4 luajit liblua5.2-0 liblua5.3-0 liblua5.4-0
    libluajit-5.1-2 ruby openssl uuid-runtime"
# For examples/game-fleet.
packages="$packages lua-socket ddnet-data"
# For tests/containers.
packages="$packages crun containerd docker.io catatonit tini dumb-init skopeo docker-compose tmux uidmap"
# For tests/systemd.
packages="$packages systemd-container mmdebstrap"
# For examples/monitoring; promtool comes with it.
packages="$packages prometheus"
# For the kernels that tests/kernels/patched.py builds.
[ -z "$full" ] || packages="$packages flex bison bc libelf-dev make xz-utils"
# For the long runs of tests/suites.
[ -z "$full" ] || packages="$packages git nodejs curl dpkg-dev postgresql-15 nginx-light
    php8.2-fpm openssh-server wrk libtcmalloc-minimal4 libmimalloc2.0"
# For the page that a report writes.
[ -z "$full" ] || packages="$packages chromium fonts-dejavu-core"
# For those of tests/layout, beside Node.
[ -z "$full" ] || packages="$packages golang-go rustc openjdk-17-jdk-headless"
# For tests/bench/runtimes.py.
[ -z "$full" ] || packages="$packages lua5.4 luajit php8.2-cli ruby nodejs openjdk-17-jdk-headless mono-runtime mono-mcs
    etcd-server openarena-server minetest-server"
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
    # The first two keep packages from starting their services: the tests start their own.
    # shellcheck disable=SC2086 # a list of words
    RUNLEVEL=1 SYSTEMD_OFFLINE=1 DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends $missing >/dev/null
fi

step "wheel and sdist, installed into .venv"
[ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv
pip() { .venv/bin/python -m pip --disable-pip-version-check -qq "$@"; }
rm -rf dist
pip install build
# The wheel is built from the sdist, so both are known to be whole.
.venv/bin/python -m build --outdir dist . >/dev/null
for wheel in dist/*.whl; do
    pip uninstall -y ksmrun
    pip install "${wheel}[test${full:+,bench}]"
done

step "style and types"
.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/mypy ksmrun tests examples
shellcheck .ci/run tests/run.sh examples/*.sh examples/*/*.sh tests/kernels/*.sh tests/suites/scripts/*.sh
clang-format --dry-run -Werror native/*/*.[ch] tests/bench/*.c tests/native/*.[ch] tests/integration/programs/*.c tests/kernels/*.c \
    tests/suites/*.c tests/layout/programs/*.c tests/containers/programs/*.c

step "C tests under ASan and UBSan, and under TSan"
for sanitizers in address,undefined thread; do
    cmake -S native -B "build/$sanitizers" -G Ninja -DKSMRUN_SANITIZE="$sanitizers" >/dev/null
    cmake --build "build/$sanitizers" >/dev/null
    ctest --test-dir "build/$sanitizers" --output-on-failure
done

# Run from tests/, so that the source tree cannot be imported instead of the wheel.
cd tests

# Tests that leave the KSM of this machine alone run beside those of it, which wait more than they
# compute. beside NAME COMMAND...: started is its PID; ended PID NAME: what it said, and how it ended.
beside() {
    log=../build/$1.log
    shift
    setsid "$@" >"$log" 2>&1 &
    started=$!
}
ended() {
    code=0
    wait "$1" || code=$?
    cat "../build/$2.log"
    [ "$code" = 0 ]
}
end_both() {
    for started in $kernels $systemd; do
        kill -- "-$started" 2>/dev/null || :
    done
}
kernels='' systemd=''
trap end_both EXIT
trap 'exit 1' HUP INT TERM

step "the kernel matrix begins, with what the others leave of the CPUs"
beside kernels chrt --idle 0 env KSMRUN_KERNELS=${full:+all} \
    ../.venv/bin/pytest -q kernels --basetemp=../build/kernels
kernels=$started

step "Python tests: units, then real programs on the real KSM"
KSMRUN_SUITES=${full:+all} ../.venv/bin/pytest -q unit integration

step "the launcher built with ASan and UBSan, on the same real programs"
# Its leaks are the exec's to clear; the preload test needs ASan's own library first.
KSMRUN_TEST_LAUNCHER="$PWD/../build/address,undefined/ksmrun-exec" ASAN_OPTIONS=detect_leaks=0 \
    ../.venv/bin/pytest -q integration/test_launch.py integration/test_fail_open.py \
    integration/test_verify.py -k "ksmrun-exec or verify or seccomp or preload"

step "services in booted systemd begin, beside what follows"
beside systemd env KSMRUN_SUITES=${full:+all} ../.venv/bin/pytest -q systemd -m "not host_ksm"
systemd=$started

step "programs that are moved to a shared layout"
KSMRUN_SUITES=${full:+all} ../.venv/bin/pytest -q layout

step "the same, moved by the launcher built with ASan and UBSan"
KSMRUN_TEST_LAUNCHER="$PWD/../build/address,undefined/ksmrun-exec" ASAN_OPTIONS=detect_leaks=0 \
    ../.venv/bin/pytest -q layout/test_behaviour.py layout/test_process.py layout/test_terminal.py \
    integration/test_layout_scope.py integration/test_layout_privilege.py \
    -k "deed or descendants or proc or key or stopped or reaches or privileg or notices"

step "containers: runtimes, engines, images, Compose, pods, recipes"
KSMRUN_SUITES=${full:+all} ../.venv/bin/pytest -q containers

step "ksmrun-oci built with ASan and UBSan, by runc and crun"
KSMRUN_TEST_OCI="$PWD/../build/address,undefined/ksmrun-oci" ASAN_OPTIONS=detect_leaks=0 \
    ../.venv/bin/pytest -q containers/test_handed_through.py containers/test_bundle.py

step "other people's programs and suites, direct and through ksmrun"
KSMRUN_SUITES=${full:+all} ../.venv/bin/pytest -q suites

step "services in booted systemd 252, 254, 257 and 262, which ran beside these"
ended "$systemd" systemd
KSMRUN_SUITES=${full:+all} ../.venv/bin/pytest -q systemd -m host_ksm

step "the kernel matrix, which ran beside these"
ended "$kernels" kernels

if [ -n "$full" ]; then
    step "the launcher under valgrind"
    cmake -S ../native -B ../build/valgrind -G Ninja -DKSMRUN_MUSL=OFF \
        -DKSMRUN_STATIC=OFF >/dev/null
    cmake --build ../build/valgrind >/dev/null
    for arguments in --help --probe --bogus "--verify nope" "--quiet /etc" "--preload=/x nope"; do
        code=0
        # shellcheck disable=SC2086 # a list of words
        valgrind -q --error-exitcode=77 --child-silent-after-fork=yes \
            ../build/valgrind/ksmrun-exec $arguments >/dev/null 2>&1 || code=$?
        [ "$code" != 77 ] || {
            echo "valgrind: ksmrun-exec $arguments" >&2
            exit 1
        }
    done

    step "the shim under valgrind"
    gcc -O1 -g -w -o ../build/sweep integration/programs/sweep.c
    for arguments in threads last-thread "forks 50" "grow 1"; do
        code=0
        # Under valgrind there is no thread, which its filter would not let live; the rest is run.
        # shellcheck disable=SC2086 # a list of words
        KSMRUN_SHIM=mark LD_PRELOAD=$PWD/../build/valgrind/shim/libksmrun-preload.so \
            valgrind -q --error-exitcode=77 ../build/sweep $arguments </dev/null >/dev/null 2>&1 || code=$?
        [ "$code" != 77 ] || {
            echo "valgrind: the shim in sweep $arguments" >&2
            exit 1
        }
    done

    step "quickstart, whole"
    sh ../examples/quickstart.sh

    step "start-up benchmark"
    ../.venv/bin/python bench/startup.py

    step "benchmark of ksmrun-oci"
    ../.venv/bin/python bench/oci.py

    step "benchmark of the shim"
    ../.venv/bin/python bench/shim.py

    step "benchmark of containers, small"
    ../.venv/bin/python bench/containers.py --containers 2 --processes 4 --rounds 1

    step "estimates, told and measured"
    ../.venv/bin/python bench/estimate.py

    step "benchmarks of the monitor, ps and top"
    ../.venv/bin/python bench/monitor.py 2>/dev/null
    ../.venv/bin/python bench/look.py 2>/dev/null

    step "what attaching costs a server"
    ../.venv/bin/python bench/attach.py
    ../.venv/bin/python bench/attach_latency.py --rounds 3 --seconds 4
    ../.venv/bin/python bench/follow.py

    step "what keeps a fleet short of its ideal, and the ways to tune"
    ../.venv/bin/python bench/ideal.py
    ../.venv/bin/python bench/tuning.py --processes 16 --rest 60 --churn 80 2>/dev/null

    step "runtimes and servers with one layout, and their chart"
    rm -f ../build/runtimes.json
    ../.venv/bin/python bench/runtimes.py --copies 3 --json ../build/runtimes.json
    ../.venv/bin/python bench/chart.py ../build/runtimes.json ../build/runtimes.png
fi
