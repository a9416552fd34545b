"""Other processes on the host that KSM works for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ksmrun.facts.pids import all_pids
from ksmrun.facts.process import read_ksm_stat
from ksmrun.facts.text import read_text
from ksmrun.support.foreign import raise_shortage

NAMES_MAX = 3


@dataclass(frozen=True)
class Other:
    """Another process. scanned_pages: those that ksmd keeps a record of, merged or not."""

    pid: int
    name: str
    scanned_pages: int


def names(found: Sequence[Other]) -> str:
    """Return names and PIDs of the first of these, and how many more there are."""
    shown = [f"{each.name} (PID {each.pid})" for each in found[:NAMES_MAX]]
    if len(found) > NAMES_MAX:
        shown.append(f"{len(found) - NAMES_MAX} more")
    return ", ".join(shown)


def others(ours: Collection[int]) -> list[Other]:
    """Return all but ours, the largest first, without those that this user may not read."""
    found = []
    for pid in set(all_pids()) - set(ours):
        folder = Path(f"/proc/{pid}")
        try:
            ksm_stat = read_ksm_stat(folder)
        except OSError as error:
            raise_shortage(error)
            continue
        scanned = max(ksm_stat.rmap_items or 0, ksm_stat.merging_pages or 0)
        if scanned:
            found.append(Other(pid, (read_text(folder / "comm") or "?").strip(), scanned))
    return sorted(found, key=lambda each: (-each.scanned_pages, each.pid))
