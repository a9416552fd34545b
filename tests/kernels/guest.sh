#!/bin/busybox sh
# shellcheck shell=dash
# The first process of the guest: runs the product on this kernel and prints what it saw, one
# "key=value" a line. Everything it starts ends with the guest.
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

for kind in static glibc musl; do
    [ -x /bin/flag-$kind ] || continue
    ksmrun-exec --quiet -- flag-$kind && flag=yes || flag=no
    echo "flag_$kind=$flag"
done
# The flag is lost on the way, and the shim sets it again.
for kind in glibc musl; do
    [ -x /bin/flag-$kind ] || continue
    ksmrun-exec --quiet --preload=/shim.so -- lose /bin/flag-$kind && flag=yes || flag=no
    echo "shim_$kind=$flag"
done
ksmrun-exec --require -- true >/dev/null
echo "require=$?"
echo "open=$(ksmrun-exec -- echo started 2>&1 | tr '\n' '|')"
echo "verify=$(ksmrun-exec --verify -- sleep 1 2>&1 | tr '\n' '|')"
sleep 1

# Two programs with equal pages; what they say after ksmd had its passes.
echo 0 >$ksm/sleep_millisecs
echo 10000 >$ksm/pages_to_scan
echo 1 >$ksm/run
for number in 1 2; do
    (sleep 12; echo) | ksmrun-exec --quiet -- equal 4 >/tmp/equal-$number &
done
sleep 11
echo "sharing=$(cat $ksm/pages_sharing)"
wait
sed -n 's/^vmas /vmas=/p' /tmp/equal-1
sed -n 's/^page /page=/p' /tmp/equal-1
sed -n 's/^stat /stat=/p' /tmp/equal-1
echo "unwrapped_vmas=$(echo | equal 4 | sed -n 's/^vmas //p')"
# An emulated ksmd may need longer than the half second that the probe waits.
for try in 1 2 3 4 5 6; do
    scanned=$(ksmrun-exec --probe | sed -n 's/.*"scanned_after_exec": "\([a-z]*\)".*/\1/p')
    [ "$scanned" = unknown ] || break
done
echo "scanned_probe=$scanned after $try"
echo "end=1"
echo o >/proc/sysrq-trigger
sleep 60
