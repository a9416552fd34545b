#!/bin/sh
# A login through a server that drops privileges in a child; keys by threads and locked memory.
set -eu
mkdir -m 700 /tmp/ssh
mkdir -m 755 /run/sshd
cd /tmp/ssh
ssh-keygen -q -t ed25519 -N '' -C '' -f host
ssh-keygen -q -t ed25519 -N '' -C '' -f user
cp user.pub known
printf 'localhost %s\n' "$(cat host.pub)" >hosts
cat >server <<END
HostKey /tmp/ssh/host
AuthorizedKeysFile /tmp/ssh/known
StrictModes no
UsePAM no
PidFile none
PermitRootLogin yes
LogLevel ERROR
END
/usr/sbin/sshd -t -f server
/usr/sbin/sshd -T -f server | grep -E '^(usepam|strictmodes|hostkey) '
login() {
    ssh -q -F none -i user -o UserKnownHostsFile=/tmp/ssh/hosts \
        -o ProxyCommand='/usr/sbin/sshd -i -f /tmp/ssh/server' "$@"
}
login root@localhost 'id -u; yes | head -c 3000000 | md5sum; exit 5' || echo "code $?"
yes other | head -c 3000000 | login root@localhost md5sum
eval "$(ssh-agent -s -a /tmp/ssh/agent)" >/dev/null
ssh-add -q user
ssh-add -l | cut -d ' ' -f 1,4
login -o IdentityFile=none root@localhost true
ssh-agent -k >/dev/null
rm -r /tmp/ssh /run/sshd
