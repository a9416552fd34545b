"""Unmerge process by process, so that memory use grows in steps that can be watched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ksmrun.attach.running import carry_out, look
from ksmrun.facts.host import read_host
from ksmrun.facts.ksm import ROOT
from ksmrun.facts.pages import PAGE_BYTES
from ksmrun.facts.pids import all_pids
from ksmrun.facts.process import read_ksm_stat
from ksmrun.host.unmerge_safety import check_fits
from ksmrun.model.attach import Deed
from ksmrun.model.errors import KsmrunError
from ksmrun.plan.attach import refusal
from ksmrun.support.foreign import raise_shortage
from ksmrun.support.units import MIB


def detach_all(*, force: bool) -> Iterator[str]:
    """Detach every merging process, the smallest first, and yield a line for each.

    Before 6.14, which does not show which processes merge, there are none. Raises KsmrunError as
    soon as one does not fit.
    """
    for pages, pid in sorted(_merging()):
        if not force:
            check_fits({pid: pages}, ROOT)
        try:
            candidate = look(pid)
        except KsmrunError:
            continue
        name = f"PID {pid} ({candidate.identity.name})"
        refused = refusal(candidate, None, Deed.OFF)
        if refused is not None:
            yield f"{name}: left for the end: {refused[0]}"
            continue
        (done,) = carry_out([candidate], Deed.OFF)
        available = (read_host(ROOT).mem_available_bytes or 0) / MIB
        yield (
            f"{name}: {pages * PAGE_BYTES / MIB:.0f} MiB unmerged, {available:.0f} MiB available"
            if done.done
            else f"{name}: left for the end: {done.why}"
        )


def _merging() -> Iterator[tuple[int, int]]:
    for pid in all_pids():
        try:
            ksm_stat = read_ksm_stat(Path(f"/proc/{pid}"))
        except OSError as error:
            raise_shortage(error)
            continue
        if ksm_stat.merge_any:
            yield ksm_stat.merging_pages or 0, pid
