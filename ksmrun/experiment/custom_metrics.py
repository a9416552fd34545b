"""Custom metrics: numbers in the load's output, and what commands print."""

from __future__ import annotations

import math
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from ksmrun.experiment.placeholders import Instance, expand
from ksmrun.experiment.traffic import refuse_no_command
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.model.experiment import Metric
from ksmrun.support import match
from ksmrun.support.words import quoted

COMMAND_SECONDS = 30.0
# Share of the time that a command may take, at most once a second.
COMMAND_SHARE_MAX = 0.1
TAIL_BYTES = 300
# Read once more: an expression may match more than a line.
OVERLAP_BYTES = 4096


class CustomMetrics:
    """Custom metrics, read from creation on: output before that (while converging) is ignored.

    logs: may gain files later, as a load that ends is run again.
    """

    def __init__(
        self,
        metrics: Sequence[Metric],
        logs: Sequence[Path],
        first: Instance,
        port: int | None,
    ) -> None:
        self._metrics = metrics
        self._logs = logs
        self._offsets = {log: log.stat().st_size for log in logs}
        self._first, self._port = first, port
        self._next_command = 0.0
        self._found: dict[str, list[float]] = {metric.name: [] for metric in metrics}
        # Metrics that have_all() has seen in each log, up to which offset.
        self._seen: dict[Path, tuple[set[str], int]] = {}

    def sample(self, *, is_last: bool = False) -> dict[str, tuple[float, ...]]:
        """Return the numbers since the last call. is_last: an incomplete last line counts too.

        Raises KsmrunError for what is no number.
        """
        texts = [self._new_text(log, is_last=is_last) for log in self._logs]
        now = time.monotonic()
        # A command may query the load, which has ended by the last call.
        is_due = not is_last and now >= self._next_command
        found = {}
        for metric in self._metrics:
            if metric.kind == "command":
                numbers = [self._ask(metric)] if is_due else []
            else:
                numbers = [
                    _number(metric, groups[0])
                    for text in texts
                    for groups in match.found(_option(metric), metric.value, text)
                ]
            if numbers:
                found[metric.name] = tuple(numbers)
                self._found[metric.name] += numbers
        if is_due:
            took = time.monotonic() - now
            self._next_command = now + max(1.0, took / COMMAND_SHARE_MAX)
        return found

    def totals(self) -> dict[str, float]:
        """Return the mean of each metric over the hold. Raises KsmrunError for one without numbers.

        For a load's output the last number of each run counts: loads print totals at their end.
        """
        return {metric.name: self._total(metric) for metric in self._metrics}

    def _total(self, metric: Metric) -> float:
        if metric.kind == "command":
            return fmean(self._found[metric.name])
        numbers = []
        for log in self._logs:
            found = _matches(metric, log)
            if found:
                numbers.append(_number(metric, found[-1][0]))
        if not numbers:
            raise KsmrunError(
                f"the load's output has no metric {metric.name}: {metric.value}{self._ends()}",
                "start the load by hand, and compare what it prints with the expression; a load "
                "that does not end by itself has to print it at once (stdbuf -oL COMMAND)",
            )
        return fmean(numbers)

    def has_all(self, logs: Sequence[Path]) -> bool:
        """Return whether each metric of the load's output is in one of these."""
        outputs = [metric for metric in self._metrics if metric.kind == "output"]
        found = set().union(*map(self._names_in, logs))
        return all(metric.name in found for metric in outputs)

    def _names_in(self, log: Path) -> set[str]:
        """Return the metrics in a log, which may have grown since the last call."""
        names, end = self._seen.get(log, (set(), 0))
        begin = max(0, end - OVERLAP_BYTES)
        with log.open("rb") as file:
            file.seek(begin)
            data = file.read()
        # Not within a line, where ^ would match.
        text = (data[data.find(b"\n") + 1 :] if begin else data).decode("utf-8", "replace")
        found = {
            metric.name
            for metric in self._metrics
            if metric.kind == "output" and match.found(_option(metric), metric.value, text)
        }
        self._seen[log] = (names | found, begin + len(data))
        return names | found

    def _ends(self) -> str:
        data = self._logs[-1].read_bytes()[-TAIL_BYTES:] if self._logs else b""
        text = data.decode("utf-8", "replace")
        return f"; its output ends: {' | '.join(text.split(chr(10))).strip(' |') or '(nothing)'}"

    def _new_text(self, log: Path, *, is_last: bool) -> str:
        with log.open("rb") as file:
            file.seek(self._offsets.setdefault(log, 0))
            data = file.read()
        if not is_last:
            data = data[: data.rfind(b"\n") + 1]
        self._offsets[log] += len(data)
        return data.decode("utf-8", "replace")

    def _ask(self, metric: Metric) -> float:
        words = [expand(word, self._first, self._port) for word in shlex.split(metric.value)]
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMMAND_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise KsmrunError(
                f"--metric-cmd {metric.name} failed: {error}", "run that command by hand to see why"
            ) from error
        return _number(metric, done.stdout.strip())


def _matches(metric: Metric, log: Path) -> list[tuple[str | None, ...]]:
    text = log.read_bytes().decode("utf-8", "replace")
    return match.found(_option(metric), metric.value, text)


def check_metric(metric: Metric, first: Instance, port: int | None) -> None:
    """Raise KsmrunError if the metric could not be read at the end."""
    if metric.kind == "command":
        refuse_no_command(f"--metric-cmd {metric.name}", metric.value)
        expand(metric.value, first, port)
        return
    if match.compiled(_option(metric), metric.value).groups < 1:
        raise UsageError(
            f"--metric {metric.name}: {quoted(metric.value)} has no group",
            "put the number in parentheses, as in 'p99: ([0-9.]+)'",
        )


def _option(metric: Metric) -> str:
    return f"--metric={metric.name}"


def _number(metric: Metric, text: str | None) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise KsmrunError(
            f"the metric {metric.name} is not a number: {quoted(text or '')}",
            "match only the number in the first group of the expression; a command has "
            "to print only the number",
        )
    return number
