"""Sample a fleet once a second; expensive values only as often as the CPU budget allows."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil

from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.facts.ksmd import find_ksmd
from ksmrun.facts.maps import count_maps
from ksmrun.facts.process import read_memory, read_rss
from ksmrun.facts.stat import ENDED
from ksmrun.facts.text import parse_fields, parse_int, read_or_raise, read_text
from ksmrun.model.experiment import FleetSample
from ksmrun.observe.sampler import cpu_seconds, known_sum, with_children
from ksmrun.support.foreign import raise_shortage

PERIOD_SECONDS = 1.0
# Share of one core, for all sampling together.
CPU_SHARE_MAX = 0.02
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class FleetSampler:
    """Sampler of a fleet. Call tick() often; it returns a sample when one is due.

    Measures its own CPU time, and delays the next sample so that it stays below CPU_SHARE_MAX:
    walking page tables takes 8.5 ms per GiB.
    """

    def __init__(self) -> None:
        self.started = time.monotonic()
        self._cpu_seconds = 0.0
        self._next_cheap = 0.0
        self._next_costly = 0.0
        self._ksmd = find_ksmd()

    @property
    def cpu_share(self) -> float:
        """CPU time of sampling since the start, as a share of one core."""
        return self._cpu_seconds / max(time.monotonic() - self.started, 1e-9)

    def tick(self, pids: Sequence[int], phase: str) -> FleetSample | None:
        """Return a sample if one is due."""
        now = time.monotonic() - self.started
        if now < self._next_cheap:
            return None
        return self._sample(pids, phase, costly=now >= self._next_costly)

    def complete(self, pids: Sequence[int], phase: str) -> FleetSample:
        """Return a sample with every value, now."""
        return self._sample(pids, phase, costly=True)

    def _sample(self, pids: Sequence[int], phase: str, *, costly: bool) -> FleetSample:
        now = time.monotonic() - self.started
        before = time.process_time()
        processes = with_children(pids)
        sample = _cheap(processes, phase, now)
        if self._ksmd is not None:
            sample = replace(sample, ksmd_cpu_seconds=cpu_seconds(self._ksmd))
        cheap_seconds = time.process_time() - before
        self._next_cheap = now + max(PERIOD_SECONDS, cheap_seconds / (CPU_SHARE_MAX / 2))
        if costly:
            sample = _with_costly(sample, processes)
            costly_seconds = time.process_time() - before - cheap_seconds
            self._next_costly = now + max(PERIOD_SECONDS, costly_seconds / (CPU_SHARE_MAX / 2))
        self._cpu_seconds += time.process_time() - before
        return sample


def _cheap(processes: Sequence[int], phase: str, elapsed_seconds: float) -> FleetSample:
    counted = rss = minor = major = 0
    ticks = 0
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    for pid in processes:
        folder = Path(f"/proc/{pid}")
        text = read_or_raise(folder / "stat")
        if text is None:
            continue
        # proc_pid_stat(5), counted from the field after the name, which may contain anything.
        fields = text[text.rindex(")") + 2 :].split()
        counted += 1
        minor += int(fields[7])
        major += int(fields[9])
        ticks += int(fields[11]) + int(fields[12])
        rss += int(fields[21]) * page_bytes
        if fields[0] in ENDED:
            with suppress(OSError):
                rss += read_rss(folder) or 0
    ksm = read_ksm(ROOT)
    return FleetSample(
        elapsed_seconds=elapsed_seconds,
        phase=phase,
        processes=counted,
        rss_bytes=rss,
        cpu_seconds=ticks / CLOCK_TICKS,
        minor_faults=minor,
        major_faults=major,
        mem_available_bytes=psutil.virtual_memory().available,
        swap_used_bytes=psutil.swap_memory().used,
        pages_shared=ksm.number("pages_shared"),
        pages_sharing=ksm.number("pages_sharing"),
        zero_pages=ksm.number("ksm_zero_pages"),
        full_scans=ksm.full_scans,
        general_profit_bytes=ksm.number("general_profit"),
        cow_ksm=parse_int(parse_fields(read_text(ROOT / "proc/vmstat") or "").get("cow_ksm", "")),
        ksmd_cpu_seconds=None,
        memory_pressure_seconds=pressure_seconds("memory"),
        cpu_pressure_seconds=pressure_seconds("cpu"),
    )


def _with_costly(sample: FleetSample, processes: Sequence[int]) -> FleetSample:
    memories, maps = [], []
    for pid in processes:
        folder = Path(f"/proc/{pid}")
        try:
            memories.append(read_memory(folder))
            maps.append(count_maps(folder))
        except OSError as error:
            raise_shortage(error)
    return replace(
        sample,
        pss_bytes=known_sum(each.pss_bytes for each in memories),
        pss_anonymous_bytes=known_sum(each.pss_anonymous_bytes for each in memories),
        uss_bytes=known_sum(each.uss_bytes for each in memories),
        swap_bytes=known_sum(each.swap_bytes for each in memories),
        huge_bytes=known_sum(each.huge_bytes for each in memories),
        maps_max=max(maps, default=None),
    )


def pressure_seconds(kind: str) -> float | None:
    """Return the seconds in which some task waited (psi.rst of the kernel); None without PSI."""
    for line in (read_text(ROOT / f"proc/pressure/{kind}") or "").split("\n"):
        if line.startswith("some "):
            return int(line.rpartition("total=")[2]) / 1e6
    return None
