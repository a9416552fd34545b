#!/bin/sh
# TaskProlog: what it prints as "export NAME=VALUE" is put into the task's environment. Only jobs
# merge that ask for it: KSM=on srun ./solver
#
# The preloaded shim sets the merge flag, so static programs do not merge. ld.so expands $PLATFORM.
# shellcheck disable=SC2016
shim='/usr/libexec/ksmrun/shim/$PLATFORM/as-libasan.so/../libksmrun-preload.so'
[ "${KSM:-off}" = on ] || exit 0
echo "export LD_PRELOAD=$shim${LD_PRELOAD:+:$LD_PRELOAD}"
