"""Test of whether merging has converged: no change over three full scans. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

# A page merges in the second full scan that sees it unchanged; the third shows that no more follow.
STABLE_SCANS = 3
# Running programs change some pages all the time: this much change still counts as stable.
STABLE_SHARE = 0.01
STABLE_PAGES_MIN = 256


class Counted(Protocol):
    """Counters of a sample, such as FleetSample; None if not counted."""

    @property
    def pages_sharing(self) -> int | None: ...

    @property
    def zero_pages(self) -> int | None: ...

    @property
    def full_scans(self) -> int | None: ...


def merged_pages(sample: Counted) -> int:
    """Return the number of pages that need no memory of their own at this moment."""
    # As model/ksm.py: KsmFacts.merged_pages, from what a saved sample has of them.
    return (sample.pages_sharing or 0) + max(sample.zero_pages or 0, 0)


def has_settled(samples: Sequence[Counted]) -> bool:
    """Return whether the merged pages stayed stable over the last STABLE_SCANS full scans.

    Counts from the first sample: earlier scans do not matter.
    """
    if not samples or samples[-1].full_scans is None:
        return False
    last = samples[-1]
    window = []
    for sample in reversed(samples):
        if sample.full_scans is None:
            return False
        window.append(merged_pages(sample))
        # The first complete scan of the window begins after this sample.
        if samples[-1].full_scans - sample.full_scans >= STABLE_SCANS:
            allowed = max(STABLE_PAGES_MIN, int(merged_pages(last) * STABLE_SHARE))
            return max(window) - min(window) <= allowed
    return False


def settle_progress(samples: Sequence[Counted]) -> float:
    """Return the share of the stable scans seen so far, 0 to 1, for a progress bar."""
    if has_settled(samples):
        return 1.0
    allowed = max(STABLE_PAGES_MIN, int(merged_pages(samples[-1]) * STABLE_SHARE)) if samples else 0
    scans = 0
    for sample in reversed(samples):
        if abs(merged_pages(sample) - merged_pages(samples[-1])) > allowed:
            break
        scans = (samples[-1].full_scans or 0) - (sample.full_scans or 0)
    return min(scans / STABLE_SCANS, 0.99)
