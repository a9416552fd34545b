"""Sandboxed services: the launcher is visible, runs and merges; they see no difference."""

from __future__ import annotations

import json
import shutil

import pytest

from .boot import Guest
from .conftest import USER
from .look import comparable
from .units import installed, some, wrap

# System calls of the helper itself beyond @system-service.
FILTER = "SystemCallFilter=@system-service personality sched_getscheduler ioprio_get\n"
SHUT_IN = {
    "no-new-privileges": f"NoNewPrivileges=yes\nUser=user{USER}\n",
    "system-service": FILTER + "SystemCallArchitectures=native\n",
    "write-execute": "MemoryDenyWriteExecute=yes\nLockPersonality=yes\nRestrictRealtime=yes\n",
    "dynamic-user": "DynamicUser=yes\nStateDirectory=shut\nReadWritePaths=/shared\n",
    "strict": "ProtectSystem=strict\nProtectHome=yes\nPrivateTmp=yes\nReadWritePaths=/shared\n"
    "ProtectProc=invisible\nProcSubset=pid\nPrivateDevices=yes\nProtectKernelTunables=yes\n",
    "private-users": f"PrivateUsers=yes\nPrivateNetwork=yes\nUser=user{USER}\n",
    "no-capabilities": "CapabilityBoundingSet=\nRestrictNamespaces=yes\nRestrictSUIDSGID=yes\n"
    "SecureBits=noroot noroot-locked\n",
    "little": "LimitNOFILE=16\nLimitNPROC=20\nLimitAS=32M\nLimitDATA=8M\nLimitSTACK=256K\n",
    "root-directory": "RootDirectory=/srv/root\nBindPaths=/shared\nMountAPIVFS=yes\n",
    "root-directory-bare": "RootDirectory=/srv/root\nBindPaths=/shared\n",
    "root-directory-strict": "RootDirectory=/srv/root\nBindPaths=/shared\nProtectSystem=strict\n"
    "ReadWritePaths=/shared\nDynamicUser=yes\n",
    "tmpfs": "TemporaryFileSystem=/usr/local\n",
    "tmpfs-ro": "TemporaryFileSystem=/usr:ro\nBindReadOnlyPaths=/usr/bin\n",
    "no-exec": "NoExecPaths=/\nExecPaths=/srv/see\n",
    "everything": f"{FILTER}NoNewPrivileges=yes\nDynamicUser=yes\nProtectSystem=strict\n"
    "MemoryDenyWriteExecute=yes\nCapabilityBoundingSet=\nPrivateUsers=yes\nPrivateDevices=yes\n"
    "ReadWritePaths=/shared\nSystemCallArchitectures=native\nRestrictNamespaces=yes\n"
    "ProtectKernelTunables=yes\nProtectControlGroups=yes\nRestrictAddressFamilies=none\n",
}


def started(guest: Guest) -> str:
    """Return what the helper saw at a start that must succeed."""
    guest.run("systemctl", "start", "shut")
    file = guest.shared / "shut.json"
    text = file.read_text()
    file.unlink()
    return text


@pytest.mark.parametrize("setting", some(SHUT_IN, "everything"))
def test_shut_in(guest: Guest, setting: str) -> None:
    see = guest.root / "usr/local/bin/see"
    for place in ("srv", "srv/root/srv"):
        (guest.root / place).mkdir(parents=True, exist_ok=True)
        shutil.copy(see, guest.root / place)
    text = f"[Service]\nType=oneshot\n{SHUT_IN[setting]}ExecStart=/srv/see /shared/shut.json\n"
    with installed(guest, {"shut.service": text}):
        direct = started(guest)
        wrap(guest, "--method=wrapper", "shut")
        wrapped = started(guest)
        assert comparable(wrapped) == comparable(direct)
        assert [json.loads(text)["merge"] for text in (direct, wrapped)] == [0, 1]
        wrap(guest, "--remove", "shut")


# How a filter denies prctl, and whether the service can be wrapped anyway.
DENIED = {
    "SystemCallFilter=~prctl": False,
    "SystemCallFilter=~prctl:EPERM": True,
    "SystemCallFilter=~prctl\nSystemCallErrorNumber=EPERM": True,
    "SystemCallFilter=@system-service\nSystemCallFilter=~prctl": False,
    "InaccessiblePaths=/usr/local/libexec": False,
    "InaccessiblePaths=-/usr/local": False,
}


@pytest.mark.parametrize("setting", some(DENIED, "SystemCallFilter=~prctl"))
def test_denied(guest: Guest, setting: str) -> None:
    """Not merged or not wrapped, but never kept from starting; systemd itself can do it all."""
    command = "/bin/sh -c 'cat /proc/self/ksm_stat >/shared/stat'"
    text = f"[Service]\nType=oneshot\n{setting}\nExecStart={command}\n"
    with installed(guest, {"shut.service": text}):
        said = wrap(guest, "--method=wrapper", "shut", check=False)
        assert ("hides" in said or "kills a process that calls prctl" in said) is not DENIED[
            setting
        ]
        guest.run("systemctl", "start", "shut")
        assert "ksm_merge_any: no" in (guest.shared / "stat").read_text()
        if guest.version >= 256:
            wrap(guest, "shut")
            guest.run("systemctl", "start", "shut")
            assert "ksm_merge_any: yes" in (guest.shared / "stat").read_text()
        (guest.shared / "stat").unlink()
