"""Views of a guest from outside, without the product's help."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

from waiting import wait_until

from .boot import Guest

# Differs from one start to the next, and what systemd counts.
VOLATILE = re.compile(
    r"(.*Timestamp.*|.*PID.*|InvocationID|.*USec.*Last|Memory(Current|Peak|Swap.*|ZSwap.*|Available"
    r"|Effective.*)|Effective.*|CPUUsage.*|IO.*|IP.*|TasksCurrent|StatusText|NRestarts|Job"
    r"|.*FileDescriptor.*|StatusErrno|ManagedOOM.*|ControlGroupId|ExecMainHandoff.*|Watchdog.*)"
)
RUN = re.compile(r" ?; (start_time|stop_time|pid|code|status)=[^;}]*")


def merges(pid: int) -> bool:
    """Return whether a process's merge flag is set (Linux 6.14); it must be alive."""
    lines = Path(f"/proc/{pid}/ksm_stat").read_text().splitlines()
    return "yes" in next(line for line in lines if line.startswith("ksm_merge_any"))


def has_begun(pid: int) -> bool:
    """Return whether it is not systemd's child "(NAME)" any more, nor the launcher."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return not name.startswith("(") and name != "ksmrun-exec"


def merging(guest: Guest, unit: str) -> set[bool]:
    """Return this for all processes of a unit, which must have some: {True} if every one merges."""
    # Of a simple service, systemctl does not wait for the exec (systemd.service(5): Type=).
    wait_until(lambda: all(map(has_begun, guest.pids(unit))), f"{unit} has begun")
    found = set()
    for pid in guest.pids(unit):
        try:
            found.add(merges(pid))
        except (FileNotFoundError, ProcessLookupError):
            continue
    assert found, f"{unit} has no process"
    return found


def tree(guest: Guest) -> dict[str, tuple[int, int, int, bytes]]:
    """Return everything that a unit can write to, and the launcher's path."""
    found = {}
    for top in ("etc", "run/systemd/system", "usr/local", "usr/lib/systemd", "run/ksmrun"):
        for path in (guest.root / top).rglob("*"):
            status = path.lstat()
            content = b""
            if stat.S_ISLNK(status.st_mode):
                content = str(path.readlink()).encode()
            elif stat.S_ISREG(status.st_mode):
                content = path.read_bytes()
            name = str(path.relative_to(guest.root))
            if "ksmrun/probe-" not in name:
                found[name] = (status.st_mode, status.st_uid, status.st_gid, content)
    return found


def shown(guest: Guest, unit: str) -> dict[str, str]:
    """Return its `systemctl show`, without what each start changes."""
    text = guest.run("systemctl", "show", "--all", "--", unit).stdout
    pairs = (line.partition("=") for line in text.splitlines())
    steady = ((key, RUN.sub("", value)) for key, _, value in pairs if not VOLATILE.fullmatch(key))
    # Lists of units have no order of their own.
    return {
        key: " ".join(sorted(value.split())) if key.istitle() else value for key, value in steady
    }


# Fields of tests/integration/programs/see.c that differ at each start.
EACH_START = {"pid", "children_faults", "cmdline", "status", "stat", "merge"}
NUMBERED = ("INVOCATION_ID=", "JOURNAL_STREAM=", "SYSTEMD_EXEC_PID=")
STATUS_FIELDS = (
    *("Name", "Umask", "PPid", "TracerPid", "Uid", "Gid", "Groups", "Kthread", "SigPnd", "ShdPnd"),
    *("SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"),
    *("NoNewPrivs", "Seccomp", "Seccomp_filters", "Speculation_Store_Bypass", "Cpus_allowed"),
    *("THP_enabled", "CoreDumping", "Threads"),
)


def comparable(text: str) -> dict[str, Any]:
    """Return what the helper `see` saw, as far as it is equal at each start."""
    seen = json.loads(text)
    environment = [bytes.fromhex(word).decode("utf-8", "replace") for word in seen["environment"]]
    # systemd passes the PID of the process that it executes: that must be the program itself.
    told = [word for word in environment if word.startswith("SYSTEMD_EXEC_PID=")]
    assert told in ([], [f"SYSTEMD_EXEC_PID={seen['pid']}"]), "not started in place"
    listens = [word for word in environment if word.startswith("LISTEN_PID=")]
    assert listens in ([], [f"LISTEN_PID={seen['pid']}"]), "the sockets are for another process"
    status = dict(
        line.split(":", 1) for line in bytes.fromhex(seen["status"]).decode().splitlines()
    )
    same = {key: value for key, value in seen.items() if key not in EACH_START}
    same["environment"] = sorted(
        word for word in environment if not word.startswith((*NUMBERED, "LISTEN_PID="))
    )
    same["argv"] = [bytes.fromhex(word).decode("utf-8", "replace") for word in seen["argv"]]
    # Sockets and pipes have new numbers each time.
    same["descriptors"] = [
        [*numbers, re.sub(rb"[0-9]+", b"N", bytes.fromhex(target)).decode()]
        for *numbers, target in seen["descriptors"]
    ]
    same["status"] = {name: status[name].strip() for name in STATUS_FIELDS if name in status}
    same["sid"], same["pgid"] = seen["sid"] == seen["pid"], seen["pgid"] == seen["pid"]
    return same
