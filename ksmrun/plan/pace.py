"""Time until merging shows, at ksmd's present rate. Pure."""

from __future__ import annotations

from ksmrun.model.ksm import KsmFacts
from ksmrun.plan.doctor import pages_per_second
from ksmrun.support.units import MIB, duration

# A page merges in the second full scan at the earliest.
FULL_SCANS = 2
# Nobody waits for less, so it needs no word.
WAIT_SECONDS_MIN = 10.0
AUTO = "sudo ksmrun monitor --auto"


def pace_line(ksm: KsmFacts, mergeable_bytes: int) -> str | None:
    """Return how long merging takes at this rate, and what shortens it; None if ksmd rests."""
    rate = pages_per_second(ksm)
    if ksm.run != 1 or not rate:
        return None
    speed = f"at most {rate * ksm.page_bytes / MIB:.1f} MiB/s are scanned"
    if not mergeable_bytes:
        return f"{speed}, each page twice before it merges; to merge within seconds: {AUTO}"
    seconds = FULL_SCANS * mergeable_bytes / ksm.page_bytes / rate
    return (
        f"{speed}: the {mergeable_bytes / MIB:.0f} MiB of programs that merge take "
        f"{duration(seconds)} (two full scans); to merge within seconds: {AUTO}"
    )


def wait_line(ksm: KsmFacts, mergeable_bytes: int) -> str | None:
    """Return the same while nothing has merged and that is to be expected."""
    rate = pages_per_second(ksm)
    if ksm.merged_pages or not rate or not mergeable_bytes:
        return None
    seconds = FULL_SCANS * mergeable_bytes / ksm.page_bytes / rate
    return pace_line(ksm, mergeable_bytes) if seconds >= WAIT_SECONDS_MIN else None
