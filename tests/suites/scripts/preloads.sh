#!/bin/sh
# Programs that are themselves preloads, around and within.
set -eu
for library in "" faketime/libfaketime.so.1 faketime/libfaketimeMT.so.1; do
    LD_PRELOAD=${LD_PRELOAD:+$LD_PRELOAD:}${library:+/usr/lib/x86_64-linux-gnu/$library} \
        FAKETIME='2020-02-03 04:05:06' \
        /usr/bin/python3 -c 'import time, threading, os
thread = threading.Thread(target=lambda: time.sleep(0.1))
thread.start(); thread.join()
print(time.localtime().tm_year > 2020, os.waitstatus_to_exitcode(os.system("exit 3")))'
done
mkdir -m 777 /tmp/fake
cd /tmp/fake
setpriv --reuid=65534 --regid=65534 --clear-groups fakeroot sh -c '
    id -u; touch a; chown 33:0 a; stat -c "%u %g" a; mknod b c 1 3; stat -c %F b; tar cf - a b | tar tvf - | cut -c1-25'
stat -c '%u %g %F' a b
stdbuf -oL echo buffered
rm -r /tmp/fake

# A root without the shim: ld.so says nothing.
mkdir -p /tmp/r/bin /tmp/r/lib64 /tmp/r/lib/x86_64-linux-gnu
cp /bin/sh /tmp/r/bin
cp /lib64/ld-linux-x86-64.so.2 /tmp/r/lib64
cp /lib/x86_64-linux-gnu/libc.so.6 /tmp/r/lib/x86_64-linux-gnu
chroot /tmp/r /bin/sh -c 'echo in'
rm -r /tmp/r
