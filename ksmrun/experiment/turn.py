"""Turn of one arm in one round: start, wait, converge, hold, stop."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import psutil

from ksmrun.experiment.custom_metrics import CustomMetrics
from ksmrun.experiment.placeholders import first_port
from ksmrun.experiment.start import start_copies
from ksmrun.experiment.store import sample_stream
from ksmrun.experiment.summary import hold_metrics
from ksmrun.experiment.traffic import planned_load
from ksmrun.experiment.turn_run import POLL_SECONDS, Progress, Running, page_bytes
from ksmrun.experiment.warnings import Seen, warnings
from ksmrun.facts.host import read_host
from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.facts.process import read_ksm_stat
from ksmrun.host.temporary_tunables import other_settings
from ksmrun.launch.fleet import Fleet
from ksmrun.launch.orphans import no_orphans
from ksmrun.model.errors import KsmrunError
from ksmrun.model.experiment import Arm, ArmResult, ExperimentPlan
from ksmrun.observe.estimate import look_at_pages
from ksmrun.observe.members import Member, lost, main_members, members
from ksmrun.observe.other_mergers import Other, others
from ksmrun.observe.processes import read_process
from ksmrun.observe.sampler import with_children
from ksmrun.observe.settle import has_settled, settle_progress
from ksmrun.support.foreign import raise_shortage

# Pages that change within this time do not count as mergeable.
VOLATILE_AFTER_SECONDS = 1.0


def take_turn(
    plan: ExperimentPlan,
    arm: Arm,
    number: int,
    folder: Path,
    scratch: Path,
    progress: Progress,
) -> ArmResult:
    """Run the arm in round `number`. Raises KsmrunError; in any case nothing is left running."""
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    if plan.drops_caches:
        _drop_caches()
    with ExitStack() as stack:
        own_folder = stack.enter_context(tempfile.TemporaryDirectory(dir=scratch))
        stream = stack.enter_context(sample_stream(folder, number, arm.name))
        stack.enter_context(no_orphans())
        fleet = stack.enter_context(Fleet())
        turn = Running(plan, fleet, stream, progress)
        strangers = others(())
        turn.tick("before", costly=True)
        begun = time.monotonic()
        copies = start_copies(turn, arm, Path(own_folder))
        ready_seconds = time.monotonic() - begun
        were = main_members(turn.pids)
        first, port = copies[0].instance, first_port(plan.command)
        load = planned_load(plan, [each.instance for each in copies], port)
        stack.callback(load.stop)
        turn.watch = load.tick
        if plan.warm_up_seconds:
            load.start()
        turn.wait("warm-up", plan.warm_up_seconds)
        settled, settle_seconds = _settle(turn)
        with other_settings(plan.hold_tunables):
            if load.is_started:
                load.forget_ended()
            else:
                load.start()
            own = CustomMetrics(plan.metrics, load.logs, first, port)
            metrics = _hold(turn, own)
        left_bytes = _left_bytes(turn.pids)
        if left_bytes is not None:
            metrics["mergeable_bytes"] = metrics.get("merged_bytes", 0.0) + left_bytes
        seen = _seen(turn, arm, strangers, were, left_bytes)
        with other_settings(plan.hold_tunables):
            load.finish(own.has_all, lambda: turn.sample("after", costly=False, own=own.sample))
        # Copies may end with their load.
        turn.sample("after", costly=True, own=lambda: own.sample(is_last=True))
        metrics |= own.totals()
        metrics["settle_seconds"] = settle_seconds
        before, last = turn.samples[0], turn.samples[-1]
        if before.ksmd_cpu_seconds is not None and last.ksmd_cpu_seconds is not None:
            metrics["ksmd_cpu_seconds"] = last.ksmd_cpu_seconds - before.ksmd_cpu_seconds
        notes = warnings(
            turn.samples, seen, settled=settled, settle_seconds_max=plan.settle_seconds_max
        )
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
            warnings=(*notes, *load.warnings()),
        )


def _hold(turn: Running, own: CustomMetrics) -> dict[str, float]:
    begin = len(turn.samples)
    turn.tick("hold", costly=True, own=own.sample)
    turn.wait("hold", turn.plan.hold_seconds, own=own.sample)
    turn.tick("hold", costly=True, own=own.sample)
    return hold_metrics(turn.samples[begin:], page_bytes())


def _left_bytes(pids: Sequence[int]) -> float | None:
    """Return what could merge and has not: equal pages that do not change.

    None if this user may not read the fleet's memory (Yama); the measurement goes on without it.
    """
    try:
        found = look_at_pages(
            with_children(pids), layout=False, volatile_after_seconds=VOLATILE_AFTER_SECONDS
        )
    except KsmrunError:
        return None
    if not found.processes or found.unread:
        return None
    return float((found.frames - found.kept_plain) * found.page_bytes)


def _seen(
    turn: Running,
    arm: Arm,
    strangers: Sequence[Other],
    were: dict[int, Member],
    left_bytes: float | None,
) -> Seen:
    """Collect observations before the fleet ends.

    Of other processes only those count that ksmd works for meanwhile.
    """
    ksm = read_ksm(ROOT)
    is_on = ksm.run == 1
    ours = with_children(turn.pids)
    by_pid = {other.pid: other for other in (*strangers, *others(ours))}
    merged = [_merged_bytes(pid) for pid in turn.fleet.pids]
    return Seen(
        others=sorted(by_pid.values(), key=lambda each: -each.scanned_pages) if is_on else (),
        lost=lost(were, members(turn.pids)),
        merged_bytes=[] if None in merged else [size for size in merged if size is not None],
        left_bytes=left_bytes,
        smart_scan=ksm.number("smart_scan") == 1,
        page_bytes=page_bytes(),
        max_map_count=read_host(ROOT).max_map_count,
        ksm_is_on=is_on,
        is_to_merge="--merge=off" not in arm.launcher_options,
        merges=_merges(turn.pids),
    )


def _merged_bytes(copy: int) -> int | None:
    """Return the merged memory of a copy and its descendants; None if not shown."""
    pages = 0
    for pid in with_children([copy]):
        try:
            ksm_stat = read_ksm_stat(Path(f"/proc/{pid}"))
        except OSError as error:
            raise_shortage(error)
            continue
        if ksm_stat.merging_pages is None:
            return None
        pages += ksm_stat.merging_pages
    return pages * page_bytes()


def _settle(turn: Running) -> tuple[bool | None, float]:
    """Wait until the merged pages stay the same over three full scans.

    None if nothing of the fleet merges: without mergeable memory ksmd counts no scans.
    """
    if not _merges(turn.pids) or read_ksm(ROOT).run != 1:
        return None, 0.0
    started = time.monotonic()
    first = len(turn.samples)
    while True:
        turn.tick("settling")
        seen = turn.samples[first:]
        elapsed = time.monotonic() - started
        if has_settled(seen):
            return True, elapsed
        if elapsed > turn.plan.settle_seconds_max:
            return False, elapsed
        turn.progress("waiting until merging has settled", settle_progress(seen))
        time.sleep(POLL_SECONDS)


def _merges(pids: Sequence[int]) -> bool:
    for pid in with_children(pids):
        try:
            if read_process(pid) is not None:
                return True
        except OSError as error:
            raise_shortage(error)
        except psutil.Error:
            continue
    return False


def _drop_caches() -> None:
    try:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("1\n")
    except OSError as error:
        raise KsmrunError(
            "--drop-caches needs root", "leave it out, or run this as root"
        ) from error
