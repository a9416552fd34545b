#!/bin/sh
# Prolog: root runs it on each node before a job's first step there. It always ends with 0, because
# Slurm takes a node out of service whose Prolog fails.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
groups=web

# Until the monitor (`ksmrun monitor --auto`) does that by itself.
[ "$(cat /sys/kernel/mm/ksm/run 2>/dev/null)" = 1 ] || ksmrun host on ||
    logger -t ksmrun "jobs on this node will not merge: KSM cannot be switched on"

# A key is made once a boot. Each user's jobs get one derived from it.
(umask 077 && mkdir -p /run/ksmrun/layout/units) && chmod 755 /run/ksmrun
for group in $groups; do
    key=/run/ksmrun/layout/units/$group.key
    [ -e "$key" ] || ksmrun layout key "$group" --output "$key" ||
        logger -t ksmrun "jobs of group $group keep the kernel's layout"
done
exit 0
