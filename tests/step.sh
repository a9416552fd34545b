#!/bin/sh
# step.sh STEP: runs a step that is not a folder of tests; started by steps.py, in tests/.
set -eu
cd "$(dirname "$0")/.."
trap 'trap - TERM; kill 0' HUP INT TERM
bin=build/venv/bin
export CMAKE_C_COMPILER_LAUNCHER=ccache CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1

sanitized_builds() {
    for sanitizers in address,undefined thread; do
        cmake -S native -B "build/$sanitizers" -G Ninja -DKSMRUN_WERROR=ON \
            -DKSMRUN_SANITIZE="$sanitizers" >/dev/null
        cmake --build "build/$sanitizers" >/dev/null
    done
}

# Tests of programs, repeated with the launcher built with ASan and UBSan. Leaks do not matter: the
# exec frees them.
repeated() {
    # shellcheck disable=SC2086 # a list of words
    (cd tests && env "$@" PYTEST_DEBUG_TEMPROOT="$scratch" ASAN_OPTIONS=detect_leaks=0 ../$bin/python -m pytest -q $tests -k "$only")
}

case $1 in
    style)
        $bin/ruff format --check .
        $bin/ruff check .
        # Its results are valid in any checkout.
        $bin/mypy --cache-dir "${XDG_CACHE_HOME:-$HOME/.cache}/ksmrun-tests/mypy" ksmrun native tests examples
        git ls-files '*.sh' .ci/run native/package/debian/p* native/package/refuse-removal | xargs shellcheck
        git ls-files 'native/*.[ch]' 'tests/*.[ch]' | grep -v third_party | xargs clang-format --dry-run -Werror
        ;;
    native)
        sanitized_builds
        for sanitizers in address,undefined thread; do
            ctest --test-dir "build/$sanitizers" --output-on-failure
        done
        # The other compiler has other warnings.
        cmake -S native -B build/clang -G Ninja -DCMAKE_C_COMPILER=clang -DKSMRUN_WERROR=ON \
            -DKSMRUN_SANITIZE=address,undefined >/dev/null
        cmake --build build/clang >/dev/null
        ctest --test-dir build/clang --output-on-failure
        ;;
    fuzz)
        # Findings are in build/fuzz/found; to do: add a test, and the input to fuzz/corpus.
        seconds=${KSMRUN_FUZZ_SECONDS:-3}
        cmake -S tests/fuzz -B build/fuzz -G Ninja -DCMAKE_C_COMPILER=clang >/dev/null
        cmake --build build/fuzz >/dev/null
        for harness in tests/fuzz/fuzz_*.c; do
            name=${harness##*/fuzz_}
            name=${name%.c}
            given=tests/fuzz/corpus/$name
            [ -d "$given" ] || given=
            mkdir -p "build/fuzz/found" "build/fuzz/corpus/$name"
            nice -n 19 "build/fuzz/$name" -max_total_time="$seconds" -timeout=10 -max_len=4096 -verbosity=0 \
                -print_final_stats=1 -artifact_prefix="build/fuzz/found/$name-" \
                "build/fuzz/corpus/$name" ${given:+"$given"} >"build/fuzz/$name.log" 2>&1 || {
                cat "build/fuzz/$name.log"
                exit 1
            }
            echo "$name: $(sed -n 's/.*executed_units: *//p' "build/fuzz/$name.log") inputs"
        done
        (cd tests && KSMRUN_FUZZ_SECONDS=$seconds nice -n 19 ../$bin/python -m pytest -q --noconftest fuzz/readers.py)
        ;;
    sanitized)
        sanitized_builds
        # A folder of its own, which all users can reach: pytest closes the shared one.
        scratch=$(mktemp -d /tmp/kt-XXXXXX)
        chmod 755 "$scratch"
        trap 'rm -rf "$scratch"' EXIT
        built=$PWD/build/address,undefined
        # The preload test needs ASan's library first.
        tests="integration/test_launch.py integration/test_fail_open.py integration/test_verify.py"
        only="ksmrun-exec or verify or seccomp or preload"
        repeated KSMRUN_TEST_LAUNCHER="$built/ksmrun-exec"
        tests="layout/test_behaviour.py layout/test_process.py layout/test_terminal.py
            integration/test_layout_scope.py integration/test_layout_privilege.py"
        only="deed or descendants or proc or key or stopped or reaches or privileg or notices"
        repeated KSMRUN_TEST_LAUNCHER="$built/ksmrun-exec"
        tests="containers/test_handed_through.py containers/test_configs.py
            containers/test_images_ask.py containers/test_bundle.py
            containers/test_bundle_layout.py" only=""
        repeated KSMRUN_TEST_OCI="$built/ksmrun-oci"
        ;;
    release | pythons | fleets)
        (cd tests && ../$bin/python -m pytest -q "$1")
        ;;
    valgrind)
        cmake -S native -B build/valgrind -G Ninja -DKSMRUN_MUSL=OFF -DKSMRUN_STATIC=OFF >/dev/null
        cmake --build build/valgrind >/dev/null
        for arguments in --help --probe --bogus "--verify nope" "--quiet /etc" "--preload=/x nope"; do
            code=0
            # shellcheck disable=SC2086 # a list of words
            valgrind -q --error-exitcode=77 --child-silent-after-fork=yes \
                build/valgrind/ksmrun-exec $arguments >/dev/null 2>&1 || code=$?
            [ "$code" != 77 ] || {
                echo "valgrind: ksmrun-exec $arguments" >&2
                exit 1
            }
        done
        gcc -O1 -g -w -o build/sweep tests/integration/programs/sweep.c
        for arguments in threads last-thread "forks 50" "grow 1"; do
            code=0
            # Under valgrind there is no thread, because it would not survive the filter; the rest runs.
            # shellcheck disable=SC2086 # a list of words
            KSMRUN_SHIM=mark LD_PRELOAD=$PWD/build/valgrind/shim/libksmrun-preload.so \
                valgrind -q --error-exitcode=77 build/sweep $arguments </dev/null >/dev/null 2>&1 || code=$?
            [ "$code" != 77 ] || {
                echo "valgrind: the shim in sweep $arguments" >&2
                exit 1
            }
        done
        ;;
    quickstart)
        sh examples/quickstart.sh
        ;;
    bench)
        bench() {
            echo "-- $*"
            script=bench/$1
            shift
            (cd tests && ../$bin/python "$script" "$@")
        }
        bench startup.py
        bench oci.py
        bench shim.py
        bench channel.py --pages 200 --rounds 1
        bench containers.py --containers 2 --processes 4 --rounds 1
        bench estimate.py
        bench monitor.py 2>/dev/null
        bench look.py 2>/dev/null
        bench attach.py
        bench attach_latency.py --rounds 3 --seconds 4
        bench follow.py
        bench ideal.py
        bench tuning.py --processes 16 --rest 60 --churn 80 2>/dev/null
        rm -f build/runtimes.json
        bench runtimes.py --copies 3 --json ../build/runtimes.json
        bench chart.py ../build/runtimes.json ../build/runtimes.png
        ;;
esac
