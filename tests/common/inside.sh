#!/bin/sh
# inside.sh [--pids] COMMAND...: runs the command with its own /run/ksmrun, and with --pids in a PID
# namespace, where it sees no process of the host except ksmd. Nothing outlives it.
set -eu
[ "$(id -u)" = 0 ] || {
    [ "$1" != --pids ] || shift
    exec "$@"
}
if [ "$1" != --pids ]; then
    # shellcheck disable=SC2016 # it is the inner shell that expands
    exec setpriv --pdeathsig KILL unshare --mount --propagation=slave sh -euc '
        mkdir -p /run/ksmrun
        mount -t tmpfs -o mode=755 tmpfs /run/ksmrun
        exec "$@"
    ' inside "$@"
fi
shift
ksmd=$(pgrep -x -o ksmd || :)
# shellcheck disable=SC2016 # it is the inner shell that expands
exec setpriv --pdeathsig KILL \
    unshare --mount --propagation=slave --pid --fork --kill-child=KILL sh -euc '
    ksmd=$1
    shift
    mkdir -p /run/ksmrun
    mount -t tmpfs -o mode=755 tmpfs /run/ksmrun
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
' inside "$ksmd" "$@"
