"""A fleet under way: sampled, watched, and shown to whoever waits."""

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
from ksmrun.model import KsmrunError
from ksmrun.model.experiment import ExperimentPlan, FleetSample
from ksmrun.observe.fleet import FleetSampler

POLL_SECONDS = 0.05
# Of the host's memory. A fleet that grows beyond it is ended rather than the host swapped to death.
LEFT_SHARE_MIN = 0.04
MIB = 1 << 20
# The user's metrics, as in FleetSample.own.
Own = Callable[[], dict[str, tuple[float, ...]]]


class Progress(Protocol):
    """Told of each phase: what it waits for, and how far it is (0 to 1; None: not known)."""

    def __call__(self, phase: str, share: float | None) -> None: ...


@dataclass
class Running:
    """strangers: children of ours before the fleet's start. strays: what forked away from it."""

    plan: ExperimentPlan
    fleet: Fleet
    stream: TextIO
    progress: Progress
    samples: list[FleetSample] = field(default_factory=list)
    sampler: FleetSampler = field(default_factory=FleetSampler)
    strangers: frozenset[int] = field(default_factory=lambda: frozenset(children()))
    strays: tuple[int, ...] = ()

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the copies and of what forked away from them, in that order."""
        return (*self.fleet.pids, *self.strays)

    def find_strays(self) -> None:
        """Call it while nothing but the fleet is started: whose they are is not to be seen later.

        They are left to us, the subreaper.
        """
        self.strays = tuple(sorted(children() - self.strangers - set(self.fleet.pids)))

    def tick(self, phase: str, *, costly: bool = False, own: Own = dict) -> None:
        """A sample where one is due. Raises KsmrunError where a copy ended, or memory does."""
        self.fleet.check_alive()
        self.sample(phase, costly=costly, own=own)

    def sample(self, phase: str, *, costly: bool, own: Own = dict) -> None:
        """The same, whether or not the copies still live."""
        sample = self.sampler.tick(self.pids, phase, costly=costly)
        if sample is None:
            return
        refuse_full_host(sample, psutil.virtual_memory().total)
        sample = replace(sample, own=own())
        self.samples.append(sample)
        write_sample(self.stream, sample)

    def wait(self, phase: str, seconds: float, own: Own = dict) -> None:
        """Samples until the time is over."""
        started = time.monotonic()
        while (elapsed := time.monotonic() - started) < seconds:
            self.progress(phase, elapsed / seconds)
            self.tick(phase, own=own)
            time.sleep(POLL_SECONDS)


def refuse_full_host(sample: FleetSample, total_bytes: int) -> None:
    """Raises KsmrunError where the host has next to nothing left. Pure."""
    left = sample.mem_available_bytes
    if left is not None and left < total_bytes * LEFT_SHARE_MIN:
        raise KsmrunError(
            f"the host has only {left / MIB:.0f} MiB left, so the fleet was stopped "
            "before it swaps",
            "start fewer copies (-n)",
        )


def page_bytes() -> int:
    """Of this kernel."""
    return os.sysconf("SC_PAGE_SIZE")
