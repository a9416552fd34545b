"""Activity of the host's merging between two observations."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from ksmrun.facts.ksmd import find_ksmd
from ksmrun.model.ksm import HostFacts, KsmFacts
from ksmrun.observe.sampler import cpu_seconds

HISTORY = 60


@dataclass(frozen=True)
class HostLook:
    """Merging on the host. saved_bytes: over all processes, less the pages kept and the metadata.

    dedup: pages represented by each page kept. ksmd_cpu: share of a core since the previous
    observation. scan_progress: of the present full scan, from the pages that ksmd knows. Values not
    yet known, or not on this kernel, are None.
    """

    ksm: KsmFacts
    saved_bytes: int | None
    dedup: float | None
    ksmd_cpu: float | None
    scan_progress: float | None
    mem_available_bytes: int | None


class HostWatch:
    """Previous observation, and the last HISTORY values of memory saved and of ksmd's CPU."""

    def __init__(self) -> None:
        self.saved: deque[float] = deque(maxlen=HISTORY)
        self.cpu: deque[float] = deque(maxlen=HISTORY)
        self._ksmd = find_ksmd()
        self._cpu_before: tuple[float, float] | None = None
        self._scans_before: int | None = None
        self._scan_started_at: int | None = None

    def look(self, host: HostFacts) -> HostLook:
        """Return the activity since the previous call."""
        ksm = host.ksm
        found = HostLook(
            ksm=ksm,
            saved_bytes=saved_bytes(ksm),
            dedup=dedup(ksm),
            ksmd_cpu=self._ksmd_cpu(),
            scan_progress=self._progress(ksm),
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
        """Return the progress of the present full scan.

        Its start shows only when full_scans changes.
        """
        scans, scanned = ksm.full_scans, ksm.pages_scanned
        if self._scans_before not in (None, scans):
            self._scan_started_at = scanned
        self._scans_before = scans
        pages = known_pages(ksm)
        if self._scan_started_at is None or scanned is None or not pages:
            return None
        return min((scanned - self._scan_started_at) / pages, 1.0)


def known_pages(ksm: KsmFacts) -> int:
    """Return the number of pages that ksmd visits in a full scan."""
    names = ("pages_shared", "pages_sharing", "pages_unshared", "pages_volatile")
    return sum(ksm.number(name) or 0 for name in names)


def saved_bytes(ksm: KsmFacts) -> int | None:
    """Return general_profit, which exists since 6.4; before, the pages without metadata."""
    profit, sharing = ksm.number("general_profit"), ksm.number("pages_sharing")
    if profit is not None:
        return profit
    return None if sharing is None else sharing * ksm.page_bytes


def dedup(ksm: KsmFacts) -> float | None:
    """Return the ratio of merged pages before to after merging; None if nothing merged."""
    shared, sharing = ksm.number("pages_shared"), ksm.number("pages_sharing")
    return (shared + sharing) / shared if shared and sharing is not None else None
