"""Checks that a change is safe: enough memory for unmerging, enough VMAs for those in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ksmrun.facts.host import read_host
from ksmrun.facts.maps import most_maps_in_use
from ksmrun.facts.memory_groups import memory_groups, memory_path
from ksmrun.facts.pids import all_pids
from ksmrun.facts.process import read_ksm_stat
from ksmrun.facts.text import read_or_raise
from ksmrun.model.errors import KsmrunError
from ksmrun.model.ksm import HostFacts
from ksmrun.model.memory_group import GroupState
from ksmrun.support.foreign import raise_shortage
from ksmrun.support.units import MIB


def check_maps_fit(limit: int) -> None:
    """Raise KsmrunError if a process already has this many VMAs: it could map nothing more."""
    in_use, pid = most_maps_in_use() or (0, 0)
    if limit <= in_use:
        raise KsmrunError(
            f"vm.max_map_count={limit} is less than the {in_use} mappings that PID {pid} "
            "has, which then could not map anything more",
            f"give more than {in_use}, or stop that process first",
        )


def check_unmerge_fits(root: Path) -> None:
    """Raise KsmrunError if unmerging everything needs more memory than is available.

    Checked for the host and for each cgroup with a limit. Swap counts as available.
    """
    host = read_host(root)
    needed = host.ksm.merged_bytes
    if needed:
        _check(host, needed, _groups(_merged_pages(), root, host.ksm.page_bytes))


def check_fits(merged_pages: Mapping[int, int], root: Path) -> None:
    """Check the same for these processes: PID to number of merged pages. Raises KsmrunError."""
    host = read_host(root)
    needed = sum(merged_pages.values()) * host.ksm.page_bytes
    if needed:
        _check(host, needed, _groups(merged_pages, root, host.ksm.page_bytes))


def _check(host: HostFacts, needed: int, groups: Sequence[GroupState]) -> None:
    available, swap = host.mem_available_bytes, host.swap_free_bytes or 0
    if available is None or needed > available + swap:
        shown = "unknown" if available is None else f"{available / MIB:.0f} MiB"
        raise KsmrunError(
            f"unmerging would bring back {needed / MIB:.0f} MiB, MemAvailable is {shown} and "
            f"{swap / MIB:.0f} MiB of swap are free: the host would run out of memory",
            "stop some of the merged programs first, or add --force to do it all the same",
        )
    for group in groups:
        if group.merged_bytes > group.free_bytes:
            # In a cgroup namespace the topmost one is the container's own.
            where = "this container" if group.path == "/" else group.path
            raise KsmrunError(
                f"unmerging would bring back up to {group.merged_bytes / MIB:.0f} MiB in "
                f"{where}, where {group.free_bytes / MIB:.0f} of "
                f"{group.limit_bytes / MIB:.0f} MiB are free: its programs would be killed",
                f"{group.raising}, or add --force to do it all the same",
            )


def _merged_pages() -> dict[int, int]:
    """Return the merged pages by PID."""
    found = {}
    for pid in all_pids():
        try:
            ksm_stat = read_ksm_stat(Path(f"/proc/{pid}"))
        except OSError as error:
            raise_shortage(error)
            continue
        found[pid] = (ksm_stat.merging_pages or 0) + (ksm_stat.zero_pages or 0)
    return found


def _groups(merged_pages: Mapping[int, int], root: Path, page_bytes: int) -> tuple[GroupState, ...]:
    """Return each cgroup with a limit, and how much its processes have merged."""
    merged: dict[str, int] = {}
    for pid, pages in merged_pages.items():
        if pages:
            path = memory_path(read_or_raise(root / f"proc/{pid}/cgroup") or "")
            merged[path] = merged.get(path, 0) + pages * page_bytes
    return memory_groups(merged, root)
