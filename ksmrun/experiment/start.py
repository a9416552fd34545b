"""Start the copies of a fleet, and wait until each is ready."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil

from ksmrun.experiment.placeholders import Instance, expand, first_port
from ksmrun.experiment.ready import Started, checker
from ksmrun.experiment.turn_run import POLL_SECONDS, Running
from ksmrun.facts.launcher import launcher_path
from ksmrun.launch.fleet import Copy
from ksmrun.model.errors import KsmrunError
from ksmrun.model.experiment import Arm
from ksmrun.support.units import MIB

# Share of the free memory that the whole fleet may take: the host must not swap.
MEMORY_SHARE_MAX = 0.9


def start_copies(turn: Running, arm: Arm, scratch: Path) -> list[Started]:
    """Start the copies one by one, and wait until each is ready."""
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
            # The others start only if there is room for them.
            _wait_ready(turn, started, is_ready)
            _refuse_too_many(turn)
        share = (index + 1) / plan.copies
        turn.progress("starting", share)
        deadline = time.monotonic() + plan.stagger_seconds
        while time.monotonic() < deadline and index + 1 < plan.copies:
            turn.tick("starting")
            time.sleep(POLL_SECONDS)
    _wait_ready(turn, started, is_ready)
    turn.find_strays()
    return started


def _wait_ready(turn: Running, started: list[Started], is_ready: Callable[[Started], bool]) -> None:
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
                    "start the program by hand to see what it waits for, or raise --ready-timeout",
                )
            time.sleep(POLL_SECONDS)


def _refuse_too_many(turn: Running) -> None:
    """Raise KsmrunError if copies like the first would fill the host."""
    turn.find_strays()
    turn.tick("starting", costly=True)
    sample = turn.samples[-1]
    size = sample.pss_bytes or sample.rss_bytes
    left = psutil.virtual_memory().available
    needed = size * (turn.plan.copies - 1)
    if needed > left * MEMORY_SHARE_MAX:
        fitting = 1 + int(left * MEMORY_SHARE_MAX / max(size, 1))
        raise KsmrunError(
            f"{turn.plan.copies} copies need about {(needed + size) / MIB:.0f} MiB "
            f"without merging (the first has {size / MIB:.0f}), and {left / MIB:.0f} MiB "
            "are available",
            f"start at most {fitting} copies: -n {fitting}",
        )
