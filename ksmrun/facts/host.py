"""Properties of this host that decide whether and how fast memory merges."""

from __future__ import annotations

import os
from pathlib import Path

from ksmrun.facts.ksm import FOLDER, ROOT, read_ksm
from ksmrun.facts.text import bracketed, kib_fields, parse_fields, parse_int, read_int, read_text
from ksmrun.model.ksm import HostFacts

# By their numbers (include/uapi/linux/capability.h).
CAPABILITIES = (
    *("chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid"),
    *("setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw"),
    *("ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct"),
    *("sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod"),
    *("lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog"),
    *("wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore"),
)
MEMINFO = ("MemTotal", "MemAvailable", "AnonPages", "SwapTotal", "SwapFree")


def read_host(root: Path = ROOT) -> HostFacts:
    """Return all properties under root. Capabilities are always those of this process."""
    status = parse_fields(read_text(root / "proc/self/status") or "")
    memory = kib_fields(read_text(root / "proc/meminfo") or "", MEMINFO)
    no_new_privs = parse_int(status.get("NoNewPrivs", ""))
    zswap = read_text(root / "sys/module/zswap/parameters/enabled")
    return HostFacts(
        kernel=(read_text(root / "proc/sys/kernel/osrelease") or os.uname().release).strip(),
        ksm=read_ksm(root),
        mem_total_bytes=memory["MemTotal"],
        mem_available_bytes=memory["MemAvailable"],
        anonymous_bytes=memory["AnonPages"],
        swap_total_bytes=memory["SwapTotal"],
        swap_free_bytes=memory["SwapFree"],
        zswap_enabled=None if zswap is None else zswap.strip() in ("Y", "1"),
        thp_enabled=bracketed(read_text(root / "sys/kernel/mm/transparent_hugepage/enabled")),
        khugepaged_max_ptes_shared=read_int(
            root / "sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_shared"
        ),
        max_map_count=read_int(root / "proc/sys/vm/max_map_count"),
        numa_nodes=_numa_nodes(root),
        container=_container(root),
        hidepid=_hidepid(root),
        seccomp_mode=parse_int(status.get("Seccomp", "")),
        no_new_privs=None if no_new_privs is None else no_new_privs == 1,
        capabilities=_capabilities(),
        ksm_writable=os.access(root / FOLDER / "run", os.W_OK),
    )


def _numa_nodes(root: Path) -> int | None:
    """Return the number of nodes with memory. sysfs lists them as ranges, "0-1,4"."""
    text = read_text(root / "sys/devices/system/node/has_memory")
    if text is None or not text.strip():
        return None
    count = 0
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        low, high = parse_int(first), parse_int(last or first)
        if low is None or high is None:
            return None
        count += high - low + 1
    return count


def _container(root: Path) -> str | None:
    """Return the engine whose container this process runs in, by the marks it leaves; else None."""
    mark = read_text(root / "run/host/container-manager") or read_text(
        root / "run/systemd/container"
    )
    if mark is not None and mark.strip():
        return mark.strip()
    if (root / "run/.containerenv").exists():
        return "podman"
    if (root / ".dockerenv").exists():
        return "docker"
    environment = (read_text(root / "proc/1/environ") or "").split("\0")
    for entry in environment:
        if entry.startswith("container="):
            return entry.removeprefix("container=") or None
    return None


def _hidepid(root: Path) -> bool | None:
    """Return whether /proc hides other users' processes (proc(5): hidepid above 0)."""
    mounts = read_text(root / "proc/self/mountinfo")
    if mounts is None:
        return None
    # The last mount on /proc covers the earlier ones.
    for line in reversed(mounts.split("\n")):
        before, _, after = line.partition(" - ")
        if before.split()[4:5] == ["/proc"] and after.split()[:1] == ["proc"]:
            options = after.split()[-1].split(",")
            hidden = [o.removeprefix("hidepid=") for o in options if o.startswith("hidepid=")]
            return bool(hidden) and hidden[-1] not in ("0", "off")
    return None


def _capabilities() -> tuple[str, ...] | None:
    """Return the effective capabilities of this thread, sorted by name (proc_pid_status(5))."""
    status = parse_fields(read_text(ROOT / "proc/thread-self/status") or "")
    if "CapEff" not in status:
        return None
    held = int(status["CapEff"], 16)
    return tuple(sorted(name for bit, name in enumerate(CAPABILITIES) if held >> bit & 1))
