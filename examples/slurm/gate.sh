#!/bin/sh
#SBATCH --job-name=ksm-gate
# Ends with 0 for go, 1 for stop and 3 for "not sure"; Slurm's afterok lets nothing but 0 pass.
set -eu
results=$1
shift
exec ksmrun report "$results"-[0-9]* "$@"
