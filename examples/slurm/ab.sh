#!/bin/sh
#SBATCH --job-name=ksm-ab
#SBATCH --array=1-3
#SBATCH --exclusive
# One experiment a node, without other jobs on it; `ksmrun report` takes all their rounds together.
# KSM has to be on (prolog.sh), as only root may switch it on. COMMAND and what tells that a copy is
# ready are yours: sbatch ab.sh RESULTS OPTION... -- COMMAND ARG...
set -eu
results=$1
shift
exec ksmrun ab --output "$results-$SLURM_ARRAY_TASK_ID" "$@"
