#!/bin/sh
# trusting.sh FILE COMMAND...: runs the command where FILE is the host's trust file, and no process
# but its own merges. Nothing outlives it.
set -eu
# shellcheck disable=SC2016 # it is the inner shell that expands
exec "$(dirname "$0")/inside.sh" --pids sh -euc '
    mkdir /run/ksmrun/etc
    mount -t tmpfs tmpfs /run/ksmrun/etc
    mkdir /run/ksmrun/etc/upper /run/ksmrun/etc/work
    own=/run/ksmrun/etc
    mount -t overlay -o "lowerdir=/etc,upperdir=$own/upper,workdir=$own/work" overlay /etc
    umount --lazy /run/ksmrun/etc
    rmdir /run/ksmrun/etc
    mkdir -p -m 755 /etc/ksmrun
    install -m 644 "$1" /etc/ksmrun/trust.toml
    shift
    exec "$@"
' trusting "$@"
