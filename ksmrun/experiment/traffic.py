"""Load on a fleet, one process per copy or one for all: run again whenever it ends by itself."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ksmrun.experiment.placeholders import Instance, expand
from ksmrun.launch.fleet import Copy, Fleet
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.model.experiment import ExperimentPlan
from ksmrun.support.advice import write_todo
from ksmrun.support.words import shortened

# A first run that fails as early as this was no load.
STARTS_SECONDS = 1.0
# Many programs print their figures when they end: a run gets this long after the measurement, and
# one that goes on (or prints when it is interrupted) this long after SIGINT.
END_SECONDS_MAX, INTERRUPTED_SECONDS_MAX = 60.0, 10.0
POLL_SECONDS = 0.2


@dataclass
class _Runner:
    """One command. option: that gave it. folder: of its first run."""

    option: str
    words: tuple[bytes, ...]
    folder: Path
    fleet: Fleet = field(default_factory=Fleet)
    runs: int = 0
    failures: int = 0
    logs: list[Path] = field(default_factory=list)
    started: float = 0.0

    def start(self) -> Path:
        """Start a run, and return its output file. Raises KsmrunError."""
        folder = self.folder if not self.runs else Path(f"{self.folder}-{self.runs + 1}")
        # Its output must not wait in a buffer that its end by a signal discards.
        environment = {"PYTHONUNBUFFERED": "1", **os.environ}
        self.started = time.monotonic()
        try:
            folder.mkdir()
            self.fleet.start(Copy(self.words, folder, environment))
        except OSError as error:
            where = os.fsdecode(error.filename or self.words[0])
            todo = "start the load by hand to see why"
            if error.errno == errno.ENOENT:
                todo = "give its whole path; for shell syntax use sh -c"
            elif error.errno in (errno.ENOSPC, errno.EDQUOT):
                todo = write_todo(error)
            raise KsmrunError(
                f"cannot start {self.option} {where}: {error.strerror}", todo
            ) from error
        self.runs += 1
        self.logs.append(folder / "log")
        return self.logs[-1]

    @property
    def code(self) -> int | None:
        """Return the exit code of the last run; None while it runs, and before the first."""
        return self.fleet.codes[-1] if self.fleet.codes else None

    def again(self) -> Iterator[Path]:
        """Run it again if it has ended. Raises KsmrunError."""
        if self.code is not None:
            self.count_failure()
            self.fleet.stop()
            yield self.start()

    def count_failure(self) -> None:
        """Count the last run if it failed, once. Raises KsmrunError if it never was a load."""
        if not self.code:
            return
        self.failures += 1
        if self.runs == 1 and time.monotonic() - self.started < STARTS_SECONDS:
            raise KsmrunError(
                f"{self.option} ended with exit code {self.code}; its output ends: "
                f"{self.fleet.tail(self.fleet.pids[-1])}",
                "start the load by hand to see why",
            )


class Load:
    """All commands of the load. logs: output of each run that counts; it grows with the runs."""

    def __init__(self, runners: Sequence[_Runner]) -> None:
        self._runners = tuple(runners)
        self.logs: list[Path] = []

    @property
    def is_started(self) -> bool:
        """Return whether it runs already, as during a warm-up."""
        return any(runner.runs for runner in self._runners)

    def start(self) -> None:
        """Start all. Raises KsmrunError."""
        for runner in self._runners:
            self.logs.append(runner.start())

    def tick(self) -> None:
        """Run again what has ended. Raises KsmrunError."""
        for runner in self._runners:
            self.logs += runner.again()

    def forget_ended(self) -> None:
        """Let no run count that ended before the measurement."""
        for runner in self._runners:
            del runner.logs[:-1]
        self.logs[:] = [log for runner in self._runners for log in runner.logs]

    def finish(self, has_all: Callable[[Sequence[Path]], bool], wait: Callable[[], None]) -> None:
        """Let those print their figures that have not, and end all. Raises KsmrunError.

        has_all: tells whether these logs have every metric. wait: is called meanwhile.
        """
        for number, seconds in ((None, END_SECONDS_MAX), (signal.SIGINT, INTERRUPTED_SECONDS_MAX)):
            deadline = time.monotonic() + seconds
            waited_for = [each for each in self._runners if each.code is None]
            if number is not None:
                # What ends from now on is ended by this.
                for runner in self._runners:
                    runner.count_failure()
                for runner in waited_for:
                    if not has_all(self._beside(runner)):
                        runner.fleet.send(number)
            while time.monotonic() < deadline and any(
                each.code is None and not has_all(self._beside(each)) for each in waited_for
            ):
                wait()
                time.sleep(POLL_SECONDS)
        self.stop()

    def _beside(self, runner: _Runner) -> list[Path]:
        """Return its logs, and those of the other option: a metric may be in either."""
        others = [each for each in self._runners if each.option != runner.option]
        return [*runner.logs, *(log for each in others for log in each.logs)]

    def stop(self) -> None:
        """End all."""
        for runner in self._runners:
            runner.fleet.stop()

    def warnings(self) -> list[tuple[str, str]]:
        """Return (what, what to do) for runs that failed."""
        return [
            (
                f"{option} ended with an error in {failures} of {runs} runs",
                "start the load by hand to see why",
            )
            for option in sorted({each.option for each in self._runners})
            for failures, runs in [self._sums(option)]
            if failures
        ]

    def _sums(self, option: str) -> tuple[int, int]:
        found = [each for each in self._runners if each.option == option]
        return sum(each.failures for each in found), sum(each.runs for each in found)


def planned_load(plan: ExperimentPlan, instances: Sequence[Instance], port: int | None) -> Load:
    """Return the load, not started yet."""
    commands = []
    if plan.load is not None:
        commands += [("--load", plan.load, instance) for instance in instances]
    if plan.fleet_load is not None:
        commands.append(("--fleet-load", plan.fleet_load, instances[0]))
    runners = []
    for number, (option, text, instance) in enumerate(commands):
        words = [expand(word, instance, port) for word in shlex.split(text)]
        folder = Path(instance.folder) / f"load-{number}"
        runners.append(_Runner(option, tuple(map(_encode, words)), folder))
    return Load(runners)


def refuse_no_command(option: str, text: str) -> None:
    """Raise KsmrunError if a shell could not parse the text as a command."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{option}={shortened(text)}: {error}", "close the quote") from error
    if not words:
        raise UsageError(f"{option} is empty", "give a command")


def _encode(word: str) -> bytes:
    return word.encode("utf-8", "surrogateescape")
