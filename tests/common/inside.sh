#!/bin/sh
# inside.sh [--read-only-ksm] [--pids] COMMAND...: runs the command with its own /run/ksmrun; with
# --read-only-ksm where nobody can set KSM; with --pids in a PID namespace, where it sees no process of
# the host except ksmd. Nothing outlives it.
set -eu
ksm=
pids=
while :; do
    case $1 in
        --read-only-ksm) ksm=/sys/kernel/mm/ksm ;;
        --pids) pids=1 ;;
        *) break ;;
    esac
    shift
done
[ "$(id -u)" = 0 ] || exec "$@"
ksmd=$(pgrep -x -o ksmd || :)
# shellcheck disable=SC2016 # it is the inner shell that expands
exec setpriv --pdeathsig KILL \
    unshare --mount --propagation=slave ${pids:+--pid --fork --kill-child=KILL} sh -euc '
    ksm=$1 pids=$2 ksmd=$3
    shift 3
    mkdir -p /run/ksmrun
    mount -t tmpfs -o mode=755 tmpfs /run/ksmrun
    [ ! -d "$ksm" ] || mount --bind -o ro "$ksm" "$ksm"
    [ -n "$pids" ] || exec "$@"
    # A PID is reserved for ksmd, at which its /proc folder is mounted.
    sleep infinity &
    place=$!
    mkdir /run/ksmrun/ksmd
    [ -z "$ksmd" ] || mount --bind "/proc/$ksmd" /run/ksmrun/ksmd
    umount --lazy /proc
    mount -t proc proc /proc
    [ -z "$ksmd" ] || mount --move /run/ksmrun/ksmd "/proc/$place"
    rmdir /run/ksmrun/ksmd
    exec tini -s -- "$@"
' inside "$ksm" "$pids" "$ksmd" "$@"
