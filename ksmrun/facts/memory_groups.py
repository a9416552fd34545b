"""Cgroups with a memory limit (Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ksmrun.facts.cgroup import hierarchies
from ksmrun.facts.ksm import ROOT
from ksmrun.facts.text import parse_fields, parse_int, read_int, read_text
from ksmrun.model.memory_group import GroupState
from ksmrun.support.unitname import unescaped, unit_type

# Version 1 writes a number near 2^63 for "no limit".
NO_LIMIT_BYTES = 1 << 60


@dataclass(frozen=True)
class _Files:
    mount: str
    limit: str
    usage: str
    inactive_file: str


VERSION_2 = _Files("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")
VERSION_1 = _Files(
    "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
)


def memory_path(cgroup: str) -> str:
    """Return the cgroup that a process's memory is charged to, from its /proc/PID/cgroup."""
    found = "/"
    for controllers, path in hierarchies(cgroup):
        if "memory" in controllers:
            return path
        if controllers == [""]:
            found = path
    return found


def memory_groups(merged_bytes: Mapping[str, int], root: Path = ROOT) -> tuple[GroupState, ...]:
    """Return each limited cgroup at or above these paths, with the sum of merged bytes below it.

    The topmost has no limit on a host; in a cgroup namespace it is the container's own.
    """
    sums: dict[str, int] = {}
    for path, size in merged_bytes.items():
        parts = [part for part in path.split("/") if part]
        # Outside of this cgroup namespace (cgroup_namespaces(7)) nothing can be read.
        if ".." in parts:
            continue
        for depth in range(len(parts) + 1):
            above = "/" + "/".join(parts[:depth])
            sums[above] = sums.get(above, 0) + size
    files = VERSION_1 if (root / VERSION_1.mount).is_dir() else VERSION_2
    states = (_read(root / files.mount, path, size, files) for path, size in sums.items())
    return tuple(state for state in states if state is not None)


def _read(mount: Path, path: str, merged_bytes: int, files: _Files) -> GroupState | None:
    folder = mount / path.lstrip("/")
    # "max" is no number.
    limit = read_int(folder / files.limit)
    if limit is None or limit >= NO_LIMIT_BYTES:
        return None
    usage = read_int(folder / files.usage)
    if usage is None:
        return None
    stat = parse_fields(read_text(folder / "memory.stat") or "")
    cache = parse_int(stat.get(files.inactive_file, "")) or 0
    free = max(limit - usage + cache, 0)
    return GroupState(path, limit, free, merged_bytes, str(folder / files.limit), _unit(path))


def _unit(path: str) -> str | None:
    """Return the system manager's unit. Below other units than slices, others set the limits."""
    *above, last = path.split("/")
    if any(part and unit_type(part) != "slice" for part in above) or not unit_type(last):
        return None
    return unescaped(last)
