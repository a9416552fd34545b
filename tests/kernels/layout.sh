#!/bin/busybox sh
# shellcheck shell=dash
# Run by guest.sh: programs under a shared layout, and their output, one "key=value" per line.
for key in /key /other; do
    head -c 32 /dev/urandom >$key
    chmod 400 $key
done
shared() {
    key=$1
    shift
    ksmrun-exec --merge=keep --layout=shared --layout-key="$key" -- "$@"
}
say() {
    name=$1
    shift
    echo "where_$name=$("$@" 2>&1 | tr '\n' ' ')"
}

# With huge pages for all memory, which is Debian's setting on a host with more memory.
huge=/sys/kernel/mm/transparent_hugepage/enabled
[ ! -e $huge ] || { echo always >$huge && echo "huge=$(cat $huge)"; }
for kind in static glibc musl no-pie static-pie; do
    [ -x /bin/where-$kind ] || continue
    say $kind-plain where-$kind
    say $kind-first shared /key where-$kind
    say $kind-other shared /other where-$kind
    # Other arguments, another environment.
    LONG=$(seq 500) say $kind-longer shared /key where-$kind "$(seq 1000)" a b c d e f
    say $kind-deep shared /key where-$kind deep
    # Not by the function, which is no file: as first process of a PID namespace.
    say $kind-init unshare --fork --pid --mount-proc \
        ksmrun-exec --merge=keep --layout=shared --layout-key=/key -- where-$kind
    # Through a shell, which is by reservation.
    say $kind-script shared /key sh -c "where-$kind; exit 0"
    say $kind-script-longer shared /key sh -c "exec where-$kind a b c"
    say $kind-script-deep shared /key sh -c "exec where-$kind deep"
    say $kind-script-other shared /other sh -c "exec where-$kind"
    shared /key where-$kind overflow
    echo "overflow_$kind=$?"
    [ -x /bin/sweep-$kind ] || continue
    shared /key sweep-$kind threads </dev/null >/dev/null
    echo "threads_$kind=$?"
done

# 32-bit ones, which the launcher of 64 bits starts.
for kind in i386 i386-static; do
    [ -x /bin/where-$kind ] || continue
    say $kind-plain where-$kind
    say $kind-first shared /key where-$kind
    say $kind-other shared /other where-$kind
    say $kind-deep shared /key where-$kind deep
    say $kind-script shared /key sh -c "where-$kind; exit 0"
    say $kind-script-deep shared /key sh -c "exec where-$kind deep"
done

# Where memory is not overcommitted: neither moves nor reservations count as committed.
sysctl -w vm.overcommit_memory=2 >/dev/null
for kind in glibc i386; do
    [ -x /bin/where-$kind ] || continue
    say $kind-strict shared /key where-$kind
    say $kind-script-strict shared /key sh -c "exec where-$kind"
done
sysctl -w vm.overcommit_memory=0 >/dev/null

# Depending on sizes and the key's base, the kernel puts vvar and vDSO below, within or right above such
# a program; and by reservation a part goes where another was, if it randomises all it can.
for bits in 33 32 31 29; do
    sysctl -w vm.mmap_rnd_bits=$bits >/dev/null 2>&1 && break
done
started=0
# A fifth, unless the kernel's command line asks for all.
few=20
! grep -q ksmrun.all /proc/cmdline || few=100
for _ in $(seq $((few * 2 / 5))); do
    rm -f /another
    head -c 32 /dev/urandom >/another
    chmod 400 /another
    shared /another where-static-pie >/dev/null && started=$((started + 1))
    shared /another sh -c "exec where-static-pie" >/dev/null && started=$((started + 1))
done
echo "started_static-pie=$started"

# Disturbed at random moments, it runs as usual or, without its helper, not at all.
for what in kill-helper stop; do
    echo "disturbed_$what=$(disturb-static $what $few \
        ksmrun-exec --merge=keep --layout=shared --layout-key=/key -- where-glibc)"
done
[ ! -e $huge ] || echo never >$huge
