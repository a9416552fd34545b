#!/bin/sh
# Runs every test, also on a new machine: installs what it needs, builds sdist and wheel, and tests the
# installed wheel. Steps, the quick loop and single tests: tests/README.md.
#
#   tests/run.sh [--full] [STEP...] [-- PYTEST OPTIONS]    all steps, or those named; --full: the long runs too
#   tests/run.sh quick                                     seconds: style, C tests and units of this source tree
#   tests/run.sh mutants [MODULE...]                       by hand: do the unit tests notice a changed line?
#   tests/run.sh --list                                    the names of the steps
set -eu
cd "$(dirname "$0")"
steps="style native sanitized fuzz unit integration layout containers systemd kernels suites"
long="release pythons fleets valgrind quickstart bench"

# Many images of containers set it. Each of the test processes would then compile all modules itself.
unset PYTHONDONTWRITEBYTECODE

case ${1-} in
    --list)
        echo "$steps"
        echo "$long (with --full)"
        echo "quick mutants (by name only)"
        exit
        ;;
    quick) exec sh quick.sh ;;
    mutants)
        shift
        exec sh mutants.sh "$@"
        ;;
esac

full=
for word; do
    case " $steps $long -- --full " in
        *" $word "*) ;;
        *)
            echo "tests/run.sh: no step is called '$word'; to do: choose from $steps $long quick mutants" >&2
            exit 2
            ;;
    esac
    [ "$word" != -- ] || break
    [ "$word" != --full ] || full=--full
done
case " $* " in *" bench "* | *" valgrind "*) full=--full ;; *" release "*) full=${full:---release} ;; *" fleets "*) full=${full:---fleets} ;; esac
# shellcheck disable=SC2086 # one option or none
sh prepare.sh $full
exec ../build/venv/bin/python steps.py "$@"
