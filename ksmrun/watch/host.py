"""Read the host's part of a sample."""

from __future__ import annotations

import time

from ksmrun.facts.host import read_host
from ksmrun.facts.ksm import ROOT
from ksmrun.facts.ksmd import find_ksmd, read_scheduling
from ksmrun.facts.launcher import cached_probe
from ksmrun.facts.text import parse_fields, parse_int, read_text
from ksmrun.model.errors import KsmrunError
from ksmrun.model.watch import HostState
from ksmrun.observe.sampler import cpu_seconds, waited_seconds


class HostReader:
    """Reader of the host's counters, which finds ksmd once."""

    def __init__(self) -> None:
        self._ksmd = find_ksmd()
        self._vmas_merge = _vmas_merge()

    def read(self) -> HostState:
        """Return the present state."""
        host = read_host(ROOT)
        vmstat = parse_fields(read_text(ROOT / "proc/vmstat") or "")
        try:
            ksmd_seconds = None if self._ksmd is None else cpu_seconds(self._ksmd)
        except OSError:
            ksmd_seconds = None
        return HostState(
            seconds=time.monotonic(),
            ksm=host.ksm,
            ksmd_cpu_seconds=ksmd_seconds,
            cow_breaks=parse_int(vmstat.get("cow_ksm", "")),
            mem_total_bytes=host.mem_total_bytes,
            mem_available_bytes=host.mem_available_bytes,
            swap_free_bytes=host.swap_free_bytes,
            max_map_count=host.max_map_count,
            ksmd_waited_seconds=None if self._ksmd is None else waited_seconds(self._ksmd),
            ksmd_scheduling=read_scheduling(self._ksmd, ROOT),
            vmas_merge=self._vmas_merge,
        )


def _vmas_merge() -> bool | None:
    """Return whether VMAs of merging programs join; None if the kernel cannot be asked."""
    try:
        return cached_probe().vmas_merge
    except (KsmrunError, OSError):
        return None
