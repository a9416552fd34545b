#!/bin/busybox sh
# shellcheck shell=dash
# First process of the guest: runs the product on this kernel and prints the results, one "key=value"
# per line. Everything it starts ends with the guest.
/bin/busybox mkdir -p /proc /sys /tmp /dev
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
export PATH=/bin
/bin/busybox --install -s /bin
exec 2>&1
ksm=/sys/kernel/mm/ksm
# A line of its own: the firmware leaves the cursor where it was.
echo

echo "probe=$(ksmrun-exec --probe | tr '\n' ' ')"

# The flag from the launcher, and from the shim alone, as `ksmrun run` uses it where an exec loses the
# flag or ksmd never scans the program.
launch="ksmrun-exec --quiet --"
by_shim="ksmrun-exec --quiet --merge=keep --preload=/shim"
# Memory marked by the shim without any flag, and VMAs joined by it that the flag keeps apart.
mark="ksmrun-exec --quiet --merge=off --shim=mark --preload=/shim"
join="ksmrun-exec --quiet --shim=join --preload=/shim"
# User-mode-linux runs no 32-bit programs.
flag-i386
[ $? -le 1 ] || rm -f /bin/*-i386*
# shellcheck disable=SC2086 # lists of words
for kind in static glibc musl i386-static i386; do
    [ -x /bin/flag-$kind ] || continue
    $launch flag-$kind && flag=yes || flag=no
    echo "flag_$kind=$flag"
    [ -e /shim-$kind.so ] || continue
    $by_shim-$kind.so -- flag-$kind && flag=yes || flag=no
    echo "shim_$kind=$flag"
done
ksmrun-exec --require -- true >/dev/null
echo "require=$?"
echo "open=$(ksmrun-exec -- echo started 2>&1 | tr '\n' '|')"
echo "verify=$(ksmrun-exec --verify -- sleep 1 2>&1 | tr '\n' '|')"
sleep 1

sh /layout.sh

# Pairs of programs with equal pages, and their output after some full scans. Each pair has a seed.
seed=0
mib=8
# Opening a FIFO waits for who writes, and emulated, polling would take most of the CPU.
mkfifo /tmp/go /tmp/end
held() { : <"$1"; }
pair() {
    seed=$((seed + 1))
    name=$1
    shift
    for number in 1 2; do
        held /tmp/go | "$@" $mib $seed >"/tmp/pair-$name-$number" &
    done
}
# shellcheck disable=SC2086 # lists of words
{
    pair static $launch equal-static
    # The flag is there when the shim comes.
    pair both ksmrun-exec --quiet --preload=/shim-glibc.so -- equal-glibc
    for kind in glibc musl i386; do
        [ -x /bin/equal-$kind ] || continue
        pair $kind $by_shim-$kind.so -- equal-$kind
        pair mark-$kind $mark-$kind.so -- equal-$kind
    done
    pair join $join-glibc.so -- equal-glibc
    joined=$!
    # Memory to scan as long as the guest runs: without any, ksmd does not scan.
    held /tmp/end | $by_shim-glibc.so -- equal-glibc 0 >/dev/null &
}
# Last resorts, for a guest that gets next to no CPU.
for _ in $(seq 3000); do
    [ "$(cat /tmp/pair-* | grep -c ^page)" = $((2 * seed)) ] && break
    sleep 0.5
done
if [ -d $ksm ]; then
    # Programs and sweepers need the CPU as well.
    echo 200 >$ksm/sleep_millisecs
    echo 10000 >$ksm/pages_to_scan
    echo 1 >$ksm/run
    # A page merges in its second full scan. If nothing is registered, there is none. The shim's
    # sweeps, which take 1 % of a core at most, mark some pages later.
    seen=
    same=0
    for _ in $(seq 600); do
        # Not by cat: emulated, starting programs is what takes the CPU.
        read -r scans <$ksm/full_scans
        [ "$scans" -ge 4 ] && [ $same -ge 15 ] && break
        sleep 1
        read -r sharing <$ksm/pages_sharing
        [ "$sharing" = "$seen" ] && same=$((same + 1)) || same=0
        seen=$sharing
    done
    echo "passes=$(cat $ksm/full_scans)"
    echo "sharing=$(cat $ksm/pages_sharing)"
fi
# Its next sweep joins what has grown since the last one.
for _ in $(seq 120); do
    [ "$(wc -l </proc/$joined/maps)" -le 35 ] && break
    sleep 0.5
done
exec 9>/tmp/go
# ksmd has the time of what comes now.
[ ! -d $ksm ] || echo 0 >$ksm/run
for _ in $(seq 1000); do
    [ "$(cat /tmp/pair-* | grep -c ^maps)" = $((2 * seed)) ] && break
    sleep 0.5
done
for file in /tmp/pair-*-1; do
    name=${file#/tmp/pair-}
    echo "merged_${name%-1}=$(cat "${file%1}"[12] | sed -n 's/^merged //p' | sort -n | head -n 1)"
    echo "maps_${name%-1}=$(sed -n 's/^maps //p' "$file")"
done
sed -n 's/^vmas /vmas=/p' /tmp/pair-static-1
sed -n 's/^page /page=/p' /tmp/pair-static-1
for kind in static glibc musl i386; do
    [ -x /bin/equal-$kind ] || continue
    echo | equal-$kind $mib >/tmp/unwrapped
    echo "maps_unwrapped-$kind=$(sed -n 's/^maps //p' /tmp/unwrapped)"
    [ $kind != static ] || echo "unwrapped_vmas=$(sed -n 's/^vmas //p' /tmp/unwrapped)"
done

# Threads and forks beside the sweeper.
for kind in glibc musl i386; do
    [ -x /bin/sweep-$kind ] || continue
    # shellcheck disable=SC2086 # lists of words
    for way in "$mark" "$join"; do
        stress=yes
        for what in threads last-thread "forks 200" "grow 1"; do
            $way-$kind.so -- sweep-$kind $what </dev/null >/dev/null || stress="$what: $?"
        done
        echo "stress_$(echo "$way" | sed 's/.*--shim=\([a-z]*\).*/\1/')-$kind=$stress"
    done
done
# An emulated ksmd may need longer than the half second that the probe waits.
[ ! -d $ksm ] || { echo 0 >$ksm/sleep_millisecs && echo 1 >$ksm/run; }
for try in 1 2 3 4 5 6; do
    scanned=$(ksmrun-exec --probe | sed -n 's/.*"scanned_after_exec": "\([a-z]*\)".*/\1/p')
    [ "$scanned" = unknown ] || break
done
[ ! -d $ksm ] || echo 0 >$ksm/run
echo "scanned_probe=$scanned after $try"

# Only what may be traced can be moved. For each user: the exit code with --require, whether two
# launches without it have equal addresses, and the second one's message. Scope 3 stays until the guest
# ends.
mkdir -p /etc
echo root:x:0:0::/:/bin/sh >/etc/passwd
echo nobody:x:65534:65534::/:/bin/sh >>/etc/passwd
cp /key /key-nobody
chown nobody /key-nobody
scopes=/proc/sys/kernel/yama/ptrace_scope
[ ! -e $scopes ] || for scope in 0 1 2 3; do
    echo $scope >$scopes
    for user in root:/key nobody:/key-nobody; do
        by() { su -s /bin/sh "${user%:*}" -c "ksmrun-exec --merge=keep --layout=shared \
            --layout-key=${user#*:} $1 -- where-glibc"; }
        by --require >/dev/null 2>&1
        code=$?
        first=$(by 2>/dev/null | head -n 1)
        [ "$first" = "$(by 2>/tmp/said | head -n 1)" ] && places=shared || places=own
        echo "yama_${scope}_${user%:*}=$code $places $(tr '\n' '|' </tmp/said)"
    done
done
echo "end=1"
# Pending console output would be lost.
sleep 1
echo o >/proc/sysrq-trigger
sleep 3
# The kernels built here cannot power off; QEMU ends when they reboot (-no-reboot).
echo b >/proc/sysrq-trigger
sleep 60
