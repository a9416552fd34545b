#!/bin/sh
# Programs that change the user, the root or the namespaces, and exec after that.
# shellcheck disable=SC2086 # prefixes are lists of words
set -u
show='id; pwd; grep -E "^(Uid|Gid|Groups|CapEff|NoNewPrivs|Seccomp):" /proc/self/status'
nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"
try() {
    echo "-- $*"
    "$@" 2>&1
    echo "code $?"
}
cd /
try su -s /bin/sh nobody -c "$show"
try su -s /bin/sh -l www-data -c "$show"
try $nobody sh -c "$show"
try $nobody --no-new-privs sh -c "$show"
try setpriv --bounding-set=-all --inh-caps=-all sh -c "$show"
try chroot / sh -c "$show"
try chroot --userspec=33:33 / sh -c "$show"
try $nobody chroot / true
for who in "" "$nobody"; do
    try $who bwrap --unshare-user --unshare-pid --dev-bind / / true
    try $who bwrap --unshare-all --die-with-parent --dev-bind / / sh -c "$show"
    try $who bwrap --unshare-user --unshare-pid --dev-bind / / sh -c 'exit 7'
    try $who bwrap --ro-bind / / --proc /proc --dev /dev --unshare-pid sh -c 'echo $$; kill -TERM $$'
    try $who unshare -Ur sh -c "$show"
    try $who unshare -Urpf --mount-proc sh -c 'echo $$; set -- /proc/[0-9]*; echo $#'
    try $who unshare -Urm sh -c 'mount -t tmpfs tmpfs /tmp && ls -a /tmp'
    try $who nsenter --user=/proc/self/ns/user true
done
