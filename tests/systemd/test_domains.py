"""Services that get a security domain at their exec, by AppArmor and SELinux, both real."""

from __future__ import annotations

from pathlib import Path

import pytest

from .emulated import run
from .roots import BASE, Root

# `game` leaves its profile when a launcher in it starts the program, `plain` keeps it.
APPARMOR = """
cp /bin/sleep /bin/game
mkdir -p /etc/apparmor.d
cat >/etc/apparmor.d/test <<'EOF'
profile plain flags=(attach_disconnected) {
  /** mrix,
  signal,
  capability,
}
profile game flags=(attach_disconnected) {
  /** rix,
  /usr/bin/game rPx -> game-inner,
  signal,
  capability,
}
profile game-inner {
  /** mr,
  signal,
}
EOF
apparmor_parser -r /etc/apparmor.d/test
for name in plain game; do
    printf '[Service]\\nExecStart=/bin/game infinity\\nAppArmorProfile=%s\\n' $name \\
        >/etc/systemd/system/$name.service
done
systemctl daemon-reload
systemctl start plain game
ksmrun wrap install >/dev/null
for name in plain game; do
    ksmrun wrap unit $name >/dev/null; echo "$name without --now: $?"
    ksmrun wrap unit --now $name >/dev/null; echo "$name with --now: $?"
    sleep 2
    echo "$name: $(systemctl is-active $name) as" \\
        "$(cat /proc/$(systemctl show -P MainPID $name)/attr/current)" \\
        "$(ls /etc/systemd/system/$name.service.d)"
done
"""

# redis_t is entered from systemd's domain by the type of the file, and also from a launcher's.
SELINUX = """
cp /bin/sleep /bin/game
chcon -t redis_exec_t /bin/game
printf '[Service]\\nExecStart=/bin/game infinity\\n' >/etc/systemd/system/game.service
systemctl daemon-reload
systemctl start game
sleep 2
domain() { tr -d '\\0' </proc/$(systemctl show -P MainPID game)/attr/current; }
echo "before: $(domain)"
ksmrun wrap install >/dev/null
ksmrun wrap unit game >/dev/null; echo "without --now: $?"
ksmrun wrap unit --now game >/dev/null; echo "with --now: $?"
sleep 2
echo "after: $(domain) $(ls /etc/systemd/system/game.service.d)"
"""
SELINUX_INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t selinuxfs none /sys/fs/selinux
load_policy -i
setfiles -F -q -e /proc -e /sys -e /dev /etc/selinux/default/contexts/files/file_contexts /
umount /sys/fs/selinux /sys /proc
exec /usr/lib/systemd/systemd
"""


@pytest.mark.long_run
def test_apparmor(tmp_path: Path) -> None:
    root = Root(257, "trixie", "trixie", (*BASE, "apparmor"))
    init = "#!/bin/sh\nexec /usr/lib/systemd/systemd\n"
    lines = run(root, tmp_path, APPARMOR, init=init, arguments="apparmor=1 security=apparmor")
    assert "plain without --now: 1" in lines
    assert "plain with --now: 0" in lines
    assert "plain: active as plain (enforce) zz-ksmrun.conf" in lines
    assert "game with --now: 1" in lines
    assert any(
        "ran as game (enforce) before, and wrapped runs as game-inner" in line for line in lines
    )
    assert any(line.startswith("game: active as game (enforce)") for line in lines)


@pytest.mark.long_run
def test_selinux(tmp_path: Path) -> None:
    names = ("selinux-policy-default", "policycoreutils", "selinux-utils", "libselinux1")
    root = Root(257, "trixie", "trixie", (*BASE, *names))
    arguments = "selinux=1 security=selinux enforcing=0"
    lines = run(root, tmp_path, SELINUX, init=SELINUX_INIT, arguments=arguments)
    assert "before: system_u:system_r:redis_t:s0" in lines
    assert any("gets its security domain at its exec (SELinux)" in line for line in lines)
    assert "without --now: 1" in lines
    assert "with --now: 0" in lines
    assert "after: system_u:system_r:redis_t:s0 zz-ksmrun.conf" in lines
