"""Processes of a fleet, and which of them ended or were restarted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ksmrun.facts.stat import ENDED, memory_folder
from ksmrun.facts.text import read_or_raise, read_text
from ksmrun.observe.sampler import with_children

# Share of the largest one's memory. Smaller ones are helpers, which may come and go.
MEMORY_SHARE_MIN = 0.1


@dataclass(frozen=True)
class Member:
    """One process. image: start of its code and of its stack, which change at an exec."""

    pid: int
    started_ticks: int
    name: str
    image: tuple[int, int]


def members(pids: Sequence[int]) -> dict[int, Member]:
    """Return these processes and all their descendants, by PID."""
    return {pid: member for pid, (member, _) in _read(pids).items()}


def main_members(pids: Sequence[int]) -> dict[int, Member]:
    """Return the members with a significant amount of memory."""
    found = _read(pids)
    most = max((rss_pages for _, rss_pages in found.values()), default=0)
    return {pid: member for pid, (member, rss) in found.items() if rss >= most * MEMORY_SHARE_MIN}


def lost(before: Mapping[int, Member], after: Mapping[int, Member]) -> list[tuple[Member, bool]]:
    """Return the members that are gone or changed, and whether another replaced them. Pure."""
    known = set(before.values())
    new = [member.name for member in after.values() if member not in known]
    found = []
    for member in before.values():
        if after.get(member.pid) == member:
            continue
        is_replaced = member.name in new or member.pid in after
        if member.name in new:
            new.remove(member.name)
        found.append((member, is_replaced))
    return found


def _read(pids: Sequence[int]) -> dict[int, tuple[Member, int]]:
    """Return the members with their resident pages."""
    found = {}
    for pid in with_children(pids):
        folder = Path(f"/proc/{pid}")
        text = read_or_raise(folder / "stat")
        if text is None:
            continue
        # proc_pid_stat(5), counted from the field after the name, which may contain anything.
        name, _, rest = text.partition("(")[2].rpartition(")")
        fields = rest.split()
        start = int(fields[19])
        if fields[0] in ENDED:
            living = read_text(memory_folder(folder) / "stat") or text
            fields = living.rpartition(")")[2].split()
        member = Member(pid, start, name, (int(fields[23]), int(fields[25])))
        found[pid] = (member, int(fields[21]))
    return found
