"""Gates: strict words, and verdicts on the bad end of an interval."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.commands.report import report
from ksmrun.model.errors import EXIT_USAGE, KsmrunError
from ksmrun.options.report import ReportOptions
from ksmrun.report.gate import EXIT_CODES, GO, STOP, UNSURE, GateResult, judge_gates, parse_gates
from ksmrun.report.results import Saved
from ksmrun.report.statistics import Difference
from ksmrun.report.verdict import ArmVerdict

from .test_report import Save, save

__all__ = ["save"]
METRICS = ("pss_bytes", "pss_anonymous_bytes", "p99", "cpu_share")
MIB = 1 << 20


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pss<=-20%", ("pss_bytes", True, -0.2, True)),
        ("PSS <= -20%", ("pss_bytes", True, -0.2, True)),
        ("anonymous PSS<=-20%", ("pss_anonymous_bytes", True, -0.2, True)),
        ("pss_bytes <= -20 %", ("pss_bytes", True, -0.2, True)),
        ("p99<=+5%", ("p99", True, 0.05, True)),
        ("p99>=-1.5", ("p99", False, -1.5, False)),
        ("p99<=0", ("p99", True, 0.0, False)),
        ("pss<=-64MiB", ("pss_bytes", True, -64.0 * MIB, False)),
        ("cpu_share<=+1e-2", ("cpu_share", True, 0.01, False)),
    ],
)
def test_words(text: str, found: tuple[object, ...]) -> None:
    (gate,) = parse_gates([text], METRICS)
    assert (gate.metric, gate.at_most, pytest.approx(gate.limit), gate.is_share) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "nope<=-20%",
            "there is no metric nope; there are cpu_share, p99, pss_anonymous_bytes, pss_bytes",
        ),
        ("pss=-20%", "is not METRIC<=CHANGE or METRIC>=CHANGE"),
        ("pss<-20%", "is not METRIC<=CHANGE"),
        ("pss==-20%", "is not METRIC<=CHANGE"),
        ("pss<=", "is not METRIC<=CHANGE"),
        ("<=-20%", "is not METRIC<=CHANGE"),
        ("pss<=-20%%", "is not METRIC<=CHANGE"),
        ("pss<=-inf", "is not METRIC<=CHANGE"),
        ("pss<=nan%", "is not METRIC<=CHANGE"),
        ("pss<=-1e999", "is not known here"),
        ("", "is not METRIC<=CHANGE"),
        ("p99<=5%", "has no sign; write p99<=+5% or p99<=-5%"),
        ("p99<=+5MiB", "MiB is not known here; give a number with one of %"),
        ("pss<=+5ms", "ms is not known here; give a number with one of %, B, KiB"),
    ],
)
def test_wrong_words(text: str, said: str) -> None:
    with pytest.raises(KsmrunError) as caught:
        parse_gates([text], METRICS)
    assert said in str(caught.value) and caught.value.exit_code == EXIT_USAGE


@given(st.text())
def test_any_words(text: str) -> None:
    try:
        (gate,) = parse_gates([text], METRICS)
    except KsmrunError:
        return
    assert gate.metric in METRICS and abs(gate.limit) < float("inf")


def judged(text: str, low: float | None, high: float | None, **changes: Any) -> GateResult:
    given = {"rounds": 6, "settled": True, "base": 100.0} | changes
    rounds, settled, base = given["rounds"], given["settled"], given["base"]
    saved = Saved(
        *(Path(), {}, {}, ("off", "on")),
        rounds={arm: ({"p99": 1.0},) * rounds for arm in ("off", "on")},
        results=tuple(
            {"arm": arm, "round": number, "settled": settled if arm == "on" else None}
            for arm in ("off", "on")
            for number in range(rounds)
        ),
    )
    found = Difference("p99", rounds, base, base, 0.0, low, high, 0.5)
    verdict = ArmVerdict("on", "off", (found,), "", "")
    (result,) = judge_gates(parse_gates([text], ["p99"]), saved, [verdict])
    return result


@pytest.mark.parametrize(
    ("text", "low", "high", "verdict"),
    [
        ("p99<=-20%", -40.0, -20.0, GO),
        ("p99<=-20%", -40.0, -19.0, UNSURE),
        ("p99<=-20%", -19.0, -10.0, STOP),
        ("p99>=-20%", -20.0, 10.0, GO),
        ("p99>=-20%", -21.0, 10.0, UNSURE),
        ("p99>=-20%", -40.0, -21.0, STOP),
        ("p99<=+5", -1.0, 5.0, GO),
        ("p99<=+5", 5.1, 7.0, STOP),
    ],
)
def test_the_bad_end_decides(text: str, low: float, high: float, verdict: str) -> None:
    assert judged(text, low, high).verdict == verdict
    # Each of these leaves all open.
    assert judged(text, low, high, rounds=5).verdict == UNSURE
    assert "5 rounds, and 6 are needed" in judged(text, low, high, rounds=5).why
    assert "not settled in 6 of 12 turns" in judged(text, low, high, settled=False).why
    assert judged(text, low, high, settled=False).verdict == UNSURE
    assert judged(text, None, None).verdict == UNSURE


def test_of_nothing_there_is_no_share() -> None:
    assert "mean is 0" in judged("p99<=-20%", -1.0, 1.0, base=0.0).why
    assert judged("p99<=+2", -1.0, 1.0, base=0.0).verdict == GO


@given(st.floats(-100, 100), st.floats(0, 100), st.floats(-50, 50))
def test_both_directions_are_one_rule(low: float, width: float, limit: float) -> None:
    """As seen in a mirror: what is at most L is, negated, at least -L."""
    one = judged(f"p99<={limit:+f}", low, low + width).verdict
    other = judged(f"p99>={-limit:+f}", -low - width, -low).verdict
    assert one == other


@pytest.mark.parametrize(
    ("gates", "code"),
    [
        (["pss<=-80%"], 0),
        (["pss<=-80%", "p99<=+100%"], 0),
        (["pss<=-99%"], 1),
        (["pss<=-80%", "p99<=-0.1%"], 3),
        (["pss<=-99%", "p99<=-0.1%"], 1),
    ],
)
def test_exit_codes(
    save: Save, capsys: pytest.CaptureFixture[str], gates: list[str], code: int
) -> None:
    folder = save()
    for as_json in (False, True):
        try:
            report(ReportOptions(folders=(folder,), as_json=as_json, gate=tuple(gates)))
            found: object = 0
        except SystemExit as ended:
            found = ended.code
        assert found == code
        text = capsys.readouterr().out
        if as_json:
            answer = json.loads(text)
            assert EXIT_CODES[answer["gate_verdict"]] == code
            assert [each["gate"] for each in answer["gates"]] == gates
        else:
            assert [f"gate {gate}, on: " in text for gate in gates] == [True] * len(gates)


def test_too_few_rounds(save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        report(ReportOptions(folders=(save(rounds=2),), gate=("pss<=-80%",)))
    assert ended.value.code == 3
    assert "not sure, 2 rounds, and 6 are needed: -8" in capsys.readouterr().out
