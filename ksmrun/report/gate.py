"""Gates: limits for the change of metrics, judged on an interval's bad end. Pure.

All gates have to hold. Each is judged at the full confidence, as together they only get stricter:
an intersection-union test (Berger, R. L. (1982), Multiparameter hypothesis testing).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ksmrun.model.errors import EXIT_FAILURE, UsageError
from ksmrun.model.quantities import Unit, metric_id
from ksmrun.model.quantities import metric as described
from ksmrun.report.results import Saved
from ksmrun.report.statistics import ROUNDS_MIN, Difference
from ksmrun.report.verdict import ArmVerdict
from ksmrun.support.words import quoted, shortened

GO, STOP, UNSURE = "go", "stop", "not sure"
EXIT_CODES = {GO: 0, STOP: EXIT_FAILURE, UNSURE: 3}
UNITS_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
FORM = re.compile(rf"\s*(\w+(?: \w+)*)\s*(<=|>=)\s*({NUMBER})\s*(%|\w*)\s*", re.ASCII)
EXAMPLES = "for example --gate 'pss<=-20%' or --gate 'p99<=+5'"


@dataclass(frozen=True)
class Gate:
    """Limit for the change of a metric against the base arm.

    at_most: the change must not exceed the limit; else it must reach it. limit: a share of the base
    arm's mean, or in the metric's unit.
    """

    text: str
    metric: str
    at_most: bool
    limit: float
    is_share: bool


@dataclass(frozen=True)
class GateResult:
    """Verdict on a gate for one arm.

    low and high: interval of the change, in the form of the limit; None if there is none.
    """

    gate: str
    arm: str
    metric: str
    limit: float
    is_share: bool
    low: float | None
    high: float | None
    verdict: str
    why: str

    @property
    def line(self) -> str:
        """Line of text for the terminal."""
        return f"gate {self.gate}, {self.arm}: {self.verdict}, {self.why}"


def parse_gates(texts: Iterable[str], metrics: Collection[str]) -> tuple[Gate, ...]:
    """Return the gates. metrics: the names that are allowed. Raises KsmrunError."""
    return tuple(_parse(text, metrics) for text in texts)


def _parse(text: str, metrics: Collection[str]) -> Gate:
    form = FORM.fullmatch(text)
    if form is None:
        raise UsageError(f"--gate={quoted(text)} is not METRIC<=CHANGE or METRIC>=CHANGE", EXAMPLES)
    name, direction, number, unit = form[1], form[2], form[3], form[4]
    metric = _metric(name, metrics)
    limit = float(number)
    if number[0] not in "+-" and limit != 0:
        end = shortened(number) + unit
        raise UsageError(
            f"--gate={quoted(text)}: the limit is a change against the base arm, but has no sign",
            f"write {name}{direction}+{end} or {name}{direction}-{end}",
        )
    scales = {"": 1.0, "%": 0.01} | (UNITS_BYTES if described(metric).unit is Unit.BYTES else {})
    if unit not in scales or abs(limit) == float("inf"):
        known = ", ".join(each for each in scales if each)
        raise UsageError(
            f"--gate={quoted(text)}: {shortened(unit or number)} is not known here",
            f"give a number with one of {known}, or without a unit",
        )
    return Gate(text.strip(), metric, direction == "<=", limit * scales[unit], unit == "%")


def _metric(name: str, metrics: Collection[str]) -> str:
    """Return the metric of this name: id, with or without its unit, or word."""
    found = metric_id(name, metrics)
    if found is None:
        raise UsageError(
            f"--gate: there is no metric {shortened(name)}",
            f"there are {', '.join(sorted(metrics))}",
        )
    return found


def judge_gates(
    gates: Sequence[Gate], saved: Saved, verdicts: Sequence[ArmVerdict]
) -> tuple[GateResult, ...]:
    """Judge each gate for each arm except the base."""
    return tuple(
        _judge(gate, verdict, _doubts(saved, verdict)) for verdict in verdicts for gate in gates
    )


def together(results: Iterable[GateResult]) -> str:
    """Return the worst verdict: stop, then not sure, then go."""
    found = {each.verdict for each in results}
    return STOP if STOP in found else UNSURE if UNSURE in found else GO


def _doubts(saved: Saved, verdict: ArmVerdict) -> list[str]:
    """Return the reasons why no figure of this arm can be judged."""
    doubts = []
    if saved.round_count < ROUNDS_MIN:
        rounds = "1 round" if saved.round_count == 1 else f"{saved.round_count} rounds"
        doubts.append(f"{rounds}, and {ROUNDS_MIN} are needed")
    # Whatever ended it, such as a copy that crashed, is not among its rounds.
    for part in saved.parts:
        done, planned = len(part.whole_rounds), part.plan.get("rounds", 0)
        if done < planned:
            doubts.append(
                f"{part.folder} has {done} of its {planned} rounds; continue with `ksmrun ab "
                f"--resume {part.folder}`"
            )
    turns = [
        each
        for part in saved.parts
        for each in part.results
        if each["arm"] in (verdict.base, verdict.arm) and each["round"] in part.whole_rounds
    ]
    unsettled = sum(each.get("settled") is False for each in turns)
    if unsettled:
        doubts.append(f"merging had not settled in {unsettled} of {len(turns)} turns")
    return doubts


def _judge(gate: Gate, verdict: ArmVerdict, doubts: Sequence[str]) -> GateResult:
    found = next((each for each in verdict.differences if each.metric == gate.metric), None)
    low, high = (None, None) if found is None else _interval(gate, found)
    verdict_of, why = UNSURE, "; ".join(doubts)
    if found is None:
        why = f"{gate.metric} was not measured in every round"
    elif low is None or high is None:
        why = why or "the base arm's mean is 0, of which there is no share"
    elif not doubts:
        verdict_of = _place(gate, low, high)
        why = "the interval spans the limit" if verdict_of == UNSURE else ""
    if low is not None and high is not None:
        change = f"{_text(gate, low)} to {_text(gate, high)}"
        why = f"{why}: {change}" if why else f"the change is {change}"
    share = gate.is_share
    return GateResult(
        *(gate.text, verdict.arm, gate.metric, gate.limit, share, low, high, verdict_of, why)
    )


def _interval(gate: Gate, found: Difference) -> tuple[float | None, float | None]:
    scale = abs(found.base_mean) if gate.is_share else 1.0
    if found.low is None or found.high is None or not scale:
        return None, None
    return found.low / scale, found.high / scale


def _place(gate: Gate, low: float, high: float) -> str:
    best, worst = (low, high) if gate.at_most else (high, low)
    if worst <= gate.limit if gate.at_most else worst >= gate.limit:
        return GO
    return STOP if (best > gate.limit if gate.at_most else best < gate.limit) else UNSURE


def _text(gate: Gate, change: float) -> str:
    if gate.is_share:
        return f"{change:+.1%}"
    if described(gate.metric).unit is Unit.BYTES:
        return f"{change / UNITS_BYTES['MiB']:+.1f} MiB"
    return f"{change:+.4g}"
