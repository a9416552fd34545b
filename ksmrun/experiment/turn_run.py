"""Running fleet: sampled, checked, and shown with its progress."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, TextIO

import psutil

from ksmrun.experiment.store import write_sample
from ksmrun.launch.fleet import Fleet
from ksmrun.launch.orphans import children
from ksmrun.model.errors import KsmrunError
from ksmrun.model.experiment import ExperimentPlan, FleetSample
from ksmrun.observe.fleet import FleetSampler
from ksmrun.support.units import MIB

POLL_SECONDS = 0.05
# Share of the host's memory. A fleet beyond it is ended before the host swaps.
LEFT_SHARE_MIN = 0.04
# Custom metrics, as in FleetSample.own.
Own = Callable[[], dict[str, tuple[float, ...]]]


class Progress(Protocol):
    """Receiver of each phase: what it waits for, and its progress (0 to 1; None: unknown)."""

    def __call__(self, phase: str, share: float | None) -> None: ...


def _nothing() -> None:
    pass


@dataclass
class Running:
    """State of a turn. strangers: our children before the fleet's start. strays: its daemons."""

    plan: ExperimentPlan
    fleet: Fleet
    stream: TextIO
    progress: Progress
    samples: list[FleetSample] = field(default_factory=list)
    sampler: FleetSampler = field(default_factory=FleetSampler)
    strangers: frozenset[int] = field(default_factory=lambda: frozenset(children()))
    strays: tuple[int, ...] = ()
    watch: Callable[[], None] = _nothing

    @property
    def pids(self) -> tuple[int, ...]:
        """PIDs of the copies, then of the processes that daemonised from them."""
        return (*self.fleet.pids, *self.strays)

    def find_strays(self) -> None:
        """Find daemonised processes. Call it while only the fleet is started.

        They are reparented to us, the subreaper, and later cannot be attributed.
        """
        self.strays = tuple(sorted(children() - self.strangers - set(self.fleet.pids)))

    def tick(self, phase: str, *, costly: bool = False, own: Own = dict) -> None:
        """Take a sample if one is due. Raises KsmrunError if a copy or the host's memory ended."""
        self.fleet.check_alive()
        self.watch()
        self.sample(phase, costly=costly, own=own)

    def sample(self, phase: str, *, costly: bool, own: Own = dict) -> None:
        """Take a sample, whether or not the copies are still alive."""
        take = self.sampler.complete if costly else self.sampler.tick
        sample = take(self.pids, phase)
        if sample is None:
            return
        refuse_full_host(sample, psutil.virtual_memory().total)
        sample = replace(sample, own=own())
        self.samples.append(sample)
        write_sample(self.stream, sample)

    def wait(self, phase: str, seconds: float, own: Own = dict) -> None:
        """Take samples for this time."""
        started = time.monotonic()
        while (elapsed := time.monotonic() - started) < seconds:
            self.progress(phase, elapsed / seconds)
            self.tick(phase, own=own)
            time.sleep(POLL_SECONDS)


def refuse_full_host(sample: FleetSample, total_bytes: int) -> None:
    """Raise KsmrunError if the host has hardly any memory left. Pure."""
    left = sample.mem_available_bytes
    if left is not None and left < total_bytes * LEFT_SHARE_MIN:
        raise KsmrunError(
            f"only {left / MIB:.0f} MiB are available on this host, so the fleet was stopped "
            "before the host would swap",
            "start fewer copies (-n)",
        )


def page_bytes() -> int:
    """Return the page size of this kernel."""
    return os.sysconf("SC_PAGE_SIZE")
