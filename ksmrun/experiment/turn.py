"""One arm's turn in one round: start, wait, settle, hold, stop."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, TextIO

import psutil

from ksmrun.experiment.load import Load, read_metrics, start_load
from ksmrun.experiment.placeholders import Instance, expand, first_port
from ksmrun.experiment.ready import Started, checker
from ksmrun.experiment.store import sample_stream, write_sample
from ksmrun.experiment.summary import hold_metrics, warnings
from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.facts.launcher import launcher_path
from ksmrun.launch.fleet import Copy, Fleet
from ksmrun.model import KsmrunError, Sample
from ksmrun.model.experiment import Arm, ArmResult, ExperimentPlan, FleetSample
from ksmrun.observe.fleet import FleetSampler
from ksmrun.observe.processes import read_process
from ksmrun.observe.sampler import with_children
from ksmrun.observe.settle import has_settled, settle_progress

POLL_SECONDS = 0.05
# Of what is free, for the whole fleet: the host must not come near to swapping.
MEMORY_SHARE_MAX = 0.9
MIB = 1 << 20


class Progress(Protocol):
    """Told of each phase: what it waits for, and how far it is (0 to 1; None: not known)."""

    def __call__(self, phase: str, share: float | None) -> None: ...


@dataclass
class _Turn:
    plan: ExperimentPlan
    fleet: Fleet
    sampler: FleetSampler
    stream: TextIO
    progress: Progress
    samples: list[FleetSample]

    def tick(self, phase: str, *, costly: bool = False) -> None:
        """A sample where one is due. Raises KsmrunError where a copy ended."""
        self.fleet.check_alive()
        sample = self.sampler.tick(self.fleet.pids, phase, costly=costly)
        if sample is not None:
            self.samples.append(sample)
            write_sample(self.stream, sample)

    def wait(self, phase: str, seconds: float) -> None:
        """Samples until the time is over."""
        started = time.monotonic()
        while (elapsed := time.monotonic() - started) < seconds:
            self.progress(phase, elapsed / seconds)
            self.tick(phase)
            time.sleep(POLL_SECONDS)


def take_turn(
    plan: ExperimentPlan,
    arm: Arm,
    number: int,
    folder: Path,
    scratch: Path,
    progress: Progress,
) -> ArmResult:
    """Runs the arm in round `number`. Raises KsmrunError; nothing is left running then either."""
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    if plan.drops_caches:
        _drop_caches()
    with ExitStack() as stack:
        own = stack.enter_context(tempfile.TemporaryDirectory(dir=scratch))
        stream = stack.enter_context(sample_stream(folder, number, arm.name))
        fleet = stack.enter_context(Fleet())
        turn = _Turn(plan, fleet, FleetSampler(), stream, progress, [])
        turn.tick("before", costly=True)
        begun = time.monotonic()
        instances = _start(turn, arm, Path(own))
        ready_seconds = time.monotonic() - begun
        load = stack.enter_context(_loaded(plan, instances))
        turn.wait("warm-up", plan.warm_up_seconds)
        settled, settle_seconds = _settle(turn)
        hold_from = len(turn.samples)
        turn.tick("hold", costly=True)
        turn.wait("hold", plan.hold_seconds)
        turn.tick("hold", costly=True)
        hold = turn.samples[hold_from:]
        ended_early = _ended_early(load)
        load.fleet.stop()
        metrics = hold_metrics(hold, os.sysconf("SC_PAGE_SIZE"))
        metrics |= read_metrics(plan.metrics, load.logs)
        metrics["settle_seconds"] = settle_seconds
        before, last = turn.samples[0], turn.samples[-1]
        if before.ksmd_cpu_seconds is not None and last.ksmd_cpu_seconds is not None:
            metrics["ksmd_cpu_seconds"] = last.ksmd_cpu_seconds - before.ksmd_cpu_seconds
        notes = warnings(turn.samples, settled=settled, settle_seconds_max=plan.settle_seconds_max)
        return ArmResult(
            round=number,
            arm=arm.name,
            started=started,
            ready_seconds=ready_seconds,
            settled=settled,
            settle_seconds=settle_seconds,
            hold_seconds=plan.hold_seconds,
            metrics=metrics,
            sampling_cpu_share=turn.sampler.cpu_share,
            warnings=(*notes, *ended_early),
        )


def _start(turn: _Turn, arm: Arm, scratch: Path) -> list[Instance]:
    """Starts the copies one after the other, and waits until each is ready."""
    plan = turn.plan
    port = first_port(plan.command)
    is_ready = checker(plan.ready, port)
    started: list[Started] = []
    for index in range(plan.copies):
        instance = Instance(index, arm.name, str(scratch / str(index)))
        Path(instance.folder).mkdir()
        words = [expand(word, instance, port) for word in plan.command]
        line = (str(launcher_path()), *arm.launcher_options, "--", *words)
        turn.fleet.start(
            Copy(
                tuple(word.encode("utf-8", "surrogateescape") for word in line),
                Path(instance.folder),
            )
        )
        pid = turn.fleet.pids[-1]
        started.append(Started(instance, pid, Path(instance.folder) / "log", time.monotonic()))
        if index == 0:
            # The others only when there is room for them.
            _wait_ready(turn, started, is_ready)
            _refuse_too_many(turn)
        share = (index + 1) / plan.copies
        turn.progress("starting", share)
        deadline = time.monotonic() + plan.stagger_seconds
        while time.monotonic() < deadline and index + 1 < plan.copies:
            turn.tick("starting")
            time.sleep(POLL_SECONDS)
    _wait_ready(turn, started, is_ready)
    return [each.instance for each in started]


def _wait_ready(turn: _Turn, started: list[Started], is_ready: Callable[[Started], bool]) -> None:
    timeout = turn.plan.ready.timeout_seconds
    for number, each in enumerate(started):
        deadline = time.monotonic() + timeout
        while not is_ready(each):
            turn.progress("waiting until all are ready", number / len(started))
            turn.tick("starting")
            if time.monotonic() > deadline:
                raise KsmrunError(
                    f"copy {each.instance.index} (PID {each.pid}) is not ready after "
                    f"{timeout:.0f} s, by --ready-{turn.plan.ready.kind} "
                    f"{turn.plan.ready.value}; its output ends: {turn.fleet.tail(each.pid)}",
                    "start it by hand to see what it waits for, or raise --ready-timeout",
                )
            time.sleep(POLL_SECONDS)


def _refuse_too_many(turn: _Turn) -> None:
    """Raises KsmrunError where copies like the first would fill the host."""
    turn.tick("starting", costly=True)
    sample = turn.samples[-1]
    size = sample.pss_bytes or sample.rss_bytes
    left = psutil.virtual_memory().available
    needed = size * (turn.plan.copies - 1)
    if needed > left * MEMORY_SHARE_MAX:
        fitting = 1 + int(left * MEMORY_SHARE_MAX / max(size, 1))
        raise KsmrunError(
            f"{turn.plan.copies} copies need some {(needed + size) / MIB:.0f} MiB without merging "
            f"(the first has {size / MIB:.0f}), and {left / MIB:.0f} MiB are free",
            f"take at most {fitting} copies: -n {fitting}",
        )


def _settle(turn: _Turn) -> tuple[bool | None, float]:
    """Until what is shared holds still over three full scans.

    None where nothing of the fleet merges: without mergeable memory ksmd counts no scans.
    """
    if not _merges(turn.fleet.pids) or read_ksm(ROOT).number("run") != 1:
        return None, 0.0
    started = time.monotonic()
    first = len(turn.samples)
    while True:
        turn.tick("settling")
        seen = [_as_sample(each) for each in turn.samples[first:]]
        elapsed = time.monotonic() - started
        if has_settled(seen):
            return True, elapsed
        if elapsed > turn.plan.settle_seconds_max:
            return False, elapsed
        turn.progress("settling", settle_progress(seen))
        time.sleep(POLL_SECONDS)


def _merges(pids: Sequence[int]) -> bool:
    for pid in with_children(pids):
        try:
            if read_process(pid) is not None:
                return True
        except (OSError, psutil.Error):
            continue
    return False


def _as_sample(sample: FleetSample) -> Sample:
    return Sample(
        elapsed_seconds=sample.elapsed_seconds,
        processes=sample.processes,
        rss_bytes=sample.rss_bytes,
        pss_bytes=0,
        pss_anonymous_bytes=0,
        mem_available_bytes=sample.mem_available_bytes,
        pages_shared=sample.pages_shared,
        pages_sharing=sample.pages_sharing,
        zero_pages=sample.zero_pages,
        full_scans=sample.full_scans,
        ksmd_cpu_seconds=sample.ksmd_cpu_seconds,
    )


@contextmanager
def _loaded(plan: ExperimentPlan, instances: list[Instance]) -> Iterator[Load]:
    load = start_load(plan, instances, first_port(plan.command))
    try:
        yield load
    finally:
        load.fleet.stop()


def _ended_early(load: Load) -> list[tuple[str, str]]:
    try:
        load.fleet.check_alive()
    except KsmrunError as error:
        return [(f"the load ended before the measurement did: {error.what}", "let it run longer")]
    return []


def _drop_caches() -> None:
    try:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("1\n")
    except OSError as error:
        raise KsmrunError(
            "--drop-caches needs root", "leave it out, or run this as root"
        ) from error
