"""What the host's merging does now, from one look to the next."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from ksmrun.model import HostFacts, KsmFacts
from ksmrun.observe.sampler import cpu_seconds, find_ksmd

HISTORY = 60


@dataclass(frozen=True)
class HostLook:
    """saved_bytes: of all processes, the pages kept once and the metadata subtracted.

    dedup: how many pages one kept page stands for. ksmd_cpu: share of a core since the look before.
    pass_progress: of the pass it is in, by the pages that ksmd knows. What is not known yet, or not
    on this kernel, is None.
    """

    run: int | None
    saved_bytes: int | None
    dedup: float | None
    ksmd_cpu: float | None
    full_scans: int | None
    pass_progress: float | None
    mem_available_bytes: int | None


class HostWatch:
    """Keeps what was before, and the last HISTORY figures of what was saved and what ksmd took."""

    def __init__(self) -> None:
        self.saved: deque[float] = deque(maxlen=HISTORY)
        self.cpu: deque[float] = deque(maxlen=HISTORY)
        self._ksmd = find_ksmd()
        self._cpu_before: tuple[float, float] | None = None
        self._scans_before: int | None = None
        self._pass_started_at: int | None = None

    def look(self, host: HostFacts) -> HostLook:
        """To be called again and again."""
        ksm = host.ksm
        found = HostLook(
            run=ksm.number("run"),
            saved_bytes=saved_bytes(ksm),
            dedup=dedup(ksm),
            ksmd_cpu=self._ksmd_cpu(),
            full_scans=ksm.number("full_scans"),
            pass_progress=self._progress(ksm),
            mem_available_bytes=host.mem_available_bytes,
        )
        self.saved.append(found.saved_bytes or 0)
        self.cpu.append(found.ksmd_cpu or 0)
        return found

    def _ksmd_cpu(self) -> float | None:
        if self._ksmd is None:
            return None
        now, before = (time.monotonic(), cpu_seconds(self._ksmd)), self._cpu_before
        self._cpu_before = now
        return None if before is None else (now[1] - before[1]) / max(now[0] - before[0], 1e-9)

    def _progress(self, ksm: KsmFacts) -> float | None:
        """Where a pass begins is seen only when full_scans counts."""
        scans, scanned = ksm.number("full_scans"), ksm.number("pages_scanned")
        if self._scans_before not in (None, scans):
            self._pass_started_at = scanned
        self._scans_before = scans
        pages = known_pages(ksm)
        if self._pass_started_at is None or scanned is None or not pages:
            return None
        return min((scanned - self._pass_started_at) / pages, 1.0)


def known_pages(ksm: KsmFacts) -> int:
    """What ksmd scans in a pass."""
    names = ("pages_shared", "pages_sharing", "pages_unshared", "pages_volatile")
    return sum(ksm.number(name) or 0 for name in names)


def saved_bytes(ksm: KsmFacts) -> int | None:
    """general_profit, from 6.4 on; before it the pages alone."""
    profit, sharing = ksm.number("general_profit"), ksm.number("pages_sharing")
    if profit is not None:
        return profit
    return None if sharing is None else sharing * ksm.page_bytes


def dedup(ksm: KsmFacts) -> float | None:
    """Pages before to pages after, of those that merged; None where none did."""
    shared, sharing = ksm.number("pages_shared"), ksm.number("pages_sharing")
    return (shared + sharing) / shared if shared and sharing is not None else None
