"""Cost of scanning a page on this host, and the memory that ksmd has to scan."""

from __future__ import annotations

import time
from pathlib import Path

from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.facts.pages import PAGE_BYTES
from ksmrun.facts.pids import all_pids
from ksmrun.facts.process import read_anonymous, read_ksm_stat, read_sweeper
from ksmrun.model.errors import KsmrunError
from ksmrun.model.tuning import KsmdCounters, Memory, ScanCost, ScanRate
from ksmrun.observe.estimate import look_at_pages
from ksmrun.observe.processes import enabling
from ksmrun.observe.sampler import ksmd_cpu_seconds
from ksmrun.observe.scan_rate import known_pages
from ksmrun.support.foreign import raise_shortage

# With fewer pages the cost per page is too uncertain.
PAGES_MIN = 200_000
# Pages sampled for zeros: this many cost a third of a second.
SAMPLE_BYTES_MAX = 1 << 30


def scan_rate(seconds: float) -> ScanRate | None:
    """Measure ksmd over this many seconds; None if it is not visible."""
    before = ksmd_counters()
    time.sleep(seconds)
    after = ksmd_counters()
    if before is None or after is None:
        return None
    passed, pages = after.seconds - before.seconds, after.pages_since(before)
    used = after.cpu_seconds - before.cpu_seconds
    return ScanRate(passed, used / passed, None if pages is None else pages / passed)


def cost_since_boot() -> ScanCost | None:
    """Return the average cost since boot; None if too few pages, or not counted (before 6.7)."""
    counters = ksmd_counters()
    pages = None if counters is None else counters.pages_scanned
    if counters is None or pages is None or pages < PAGES_MIN:
        return None
    return ScanCost(counters.cpu_seconds / pages, f"measured over {pages} pages since boot")


def ksmd_counters() -> KsmdCounters | None:
    """Return the present counters; None if ksmd is not visible."""
    cpu_seconds = ksmd_cpu_seconds()
    if cpu_seconds is None:
        return None
    return KsmdCounters(time.monotonic(), cpu_seconds, read_ksm(ROOT).pages_scanned)


def mergeable_memory(*, looks: bool) -> Memory:
    """Return the memory that ksmd has to scan. looks: also sample it for pages of zeros."""
    processes: list[tuple[int, int]] = []
    for pid in all_pids():
        folder = Path(f"/proc/{pid}")
        try:
            ksm_stat = read_ksm_stat(folder)
            if enabling(folder, ksm_stat, read_sweeper(folder)) is None:
                continue
            # With the flag all its memory counts; with marked memory, what ksmd has found so far.
            pages = (read_anonymous(folder) or 0) // PAGE_BYTES if ksm_stat.merge_any else 0
            processes.append((max(pages, ksm_stat.rmap_items or 0), pid))
        except OSError as error:
            raise_shortage(error)
    pages = max(sum(pages for pages, _ in processes), known_pages(read_ksm(ROOT)))
    return Memory(pages, len(processes), _zero_share(processes) if looks else None)


def _zero_share(processes: list[tuple[int, int]]) -> float | None:
    chosen, left = [], SAMPLE_BYTES_MAX // PAGE_BYTES
    for pages, pid in sorted(processes):
        if pages <= left:
            chosen.append(pid)
            left -= pages
    if not chosen:
        return None
    try:
        found = look_at_pages(chosen, layout=False)
    except KsmrunError:
        return None
    frames = sum(kind.frames for kind in found.kinds.values())
    return sum(kind.plain.zero for kind in found.kinds.values()) / frames if frames else None
