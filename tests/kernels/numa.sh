#!/bin/busybox sh
# shellcheck shell=dash
# First process of a guest with two memory nodes: do equal pages of two domains meet, which are bound
# to one node each? Prints one "key=value" per line. Everything it starts ends with the guest.
/bin/busybox mkdir -p /proc /sys /tmp /dev /cgroup
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox mount -t cgroup2 none /cgroup
export PATH=/bin
/bin/busybox --install -s /bin
exec 2>&1
ksm=/sys/kernel/mm/ksm
# A line of its own: the firmware leaves the cursor where it was.
echo
echo "nodes=$(cat /sys/devices/system/node/has_memory)"

# Both domains have a pair of programs with the same bytes; so has node 0, by itself.
echo +cpuset >/cgroup/cgroup.subtree_control
mkfifo /tmp/end
touch /tmp/first /tmp/second /tmp/alone-1 /tmp/alone-2
start() {
    mkdir -p "/cgroup/$1"
    echo "$2" >"/cgroup/$1/cpuset.mems"
    {
        echo 0 >"/cgroup/$1/cgroup.procs"
        # Opening a FIFO waits for who writes, and emulated, polling would take most of the CPU.
        { : </tmp/end; } | ksmrun-exec --quiet -- equal-static 4 "$3" >"/tmp/$4"
    } &
}
start first 0 1 first
start second 1 1 second
start first 0 2 alone-1
start first 0 2 alone-2
for _ in $(seq 3000); do
    [ "$(cat /tmp/first /tmp/second /tmp/alone-* | grep -c ^page)" = 4 ] && break
    sleep 0.5
done

pid_of() {
    while read -r pid; do
        case $(tr '\0' ' ' <"/proc/$pid/cmdline") in "equal-static 4 $2 ") echo "$pid" && return ;; esac
    done <"/cgroup/$1/cgroup.procs"
}
# Name and PID of each that is looked at.
looked_at="first=$(pid_of first 1) second=$(pid_of second 1) alone=$(pid_of first 2)"
for each in $looked_at; do
    echo "numa_maps_${each%=*}=$(tr '\n=' '|:' <"/proc/${each#*=}/numa_maps")"
    echo "status_${each%=*}=$(grep Mems_allowed_list "/proc/${each#*=}/status")"
done
for across in 0 1; do
    echo 2 >$ksm/run
    echo $across >$ksm/merge_across_nodes
    echo 10 >$ksm/sleep_millisecs
    echo 10000 >$ksm/pages_to_scan
    echo 1 >$ksm/run
    from=$(cat $ksm/full_scans)
    for _ in $(seq 1200); do
        [ "$(cat $ksm/full_scans)" -ge $((from + 5)) ] && break
        sleep 0.5
    done
    echo 0 >$ksm/run
    for each in $looked_at; do
        echo "merged_${across}_${each%=*}=$(cat "/proc/${each#*=}/ksm_merging_pages")"
    done
done
: >/tmp/end
echo "end=1"
# Pending console output would be lost.
sleep 1
echo o >/proc/sysrq-trigger
sleep 60
