#!/bin/sh
# rollout.sh RESULTS GATE NEXT-SCRIPT OPTION... -- COMMAND ARG...
#
# The script NEXT-SCRIPT runs if each experiment ended well and the gate says go. Otherwise Slurm
# cancels it (--kill-on-invalid-dep), instead of leaving it in the queue for ever.
set -eu
folder=$(dirname "$0")
results=$1 gate=$2 next=$3
shift 3
after() { echo "--kill-on-invalid-dep=yes --dependency=afterok:$1"; }

ab=$(sbatch --parsable ${KSM_ARRAY:+--array="$KSM_ARRAY"} "$folder/ab.sh" "$results" "$@")
# shellcheck disable=SC2046 # two options
judged=$(sbatch --parsable $(after "$ab") "$folder/gate.sh" "$results" --gate "$gate")
# shellcheck disable=SC2046
sbatch --parsable $(after "$judged") --ksm=on "$next"
