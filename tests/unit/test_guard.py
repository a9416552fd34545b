"""Arithmetic and decisions of the map-count guard."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schemas import PEAKS

from ksmrun.commands.check import _plan_row
from ksmrun.host.map_peaks import PROGRAMS_MAX, remember, remember_all, remembered
from ksmrun.launch import known_peaks
from ksmrun.launch.prepare import prepare
from ksmrun.model.errors import KsmrunError
from ksmrun.model.launch import (
    GuardMode,
    MapPeak,
    Mechanism,
    MergeMode,
    Plan,
    Probe,
    Refusal,
    Request,
    TargetFacts,
)
from ksmrun.plan.guard import BRK_STEP_BYTES, action, judge
from ksmrun.plan.launch import needs_judgement
from ksmrun.plan.mechanism import choose

from .planning import plan_launch
from .test_plan import GOOD, REQUEST, SPLITS, TARGET

LIMIT = 65530
GIB = 1 << 30
# Known from the kernel: a heap grown in steps of 132 KiB reaches the limit at about 8.2 GiB.
SMALL = MapPeak("seen", 300, 1 * GIB)
LARGE = MapPeak("seen", 300, 9 * GIB)
MANY = MapPeak("seen", 64000, 1 * GIB)


@pytest.mark.parametrize(
    ("peaks", "joins", "verdict", "alone"),
    [
        ([SMALL], False, "fits", "fits"),
        ([LARGE], False, "short", "fits"),
        ([LARGE], True, "fits", "fits"),
        ([MANY], True, "tight", "tight"),
        ([SMALL, LARGE], False, "short", "fits"),
        ([MapPeak("seen", 300, 7 * GIB)], False, "tight", "fits"),
        ([MapPeak("seen", 70000, None)], False, "short", "short"),
        ([], False, "unknown", "unknown"),
    ],
)
def test_verdicts(peaks: list[MapPeak], joins: bool, verdict: str, alone: str) -> None:
    judgement = judge(peaks, LIMIT, 0.2, vmas_merge=joins)
    assert (judgement.verdict, judgement.without_merging) == (verdict, alone)


@pytest.mark.parametrize(
    ("maps", "verdict"),
    [(0, "fits"), (800, "fits"), (801, "tight"), (1000, "tight"), (1001, "short")],
)
def test_the_reserve_and_the_limit(maps: int, verdict: str) -> None:
    judgement = judge([MapPeak("seen", maps, None)], 1000, 0.2, vmas_merge=True)
    assert (judgement.verdict, judgement.without_merging) == (verdict, verdict)
    assert (judgement.expected_maps, judgement.limit, judgement.reserve) == (maps, 1000, 0.2)


def test_each_step_of_the_heap_is_one_map_more() -> None:
    for data, maps in ((BRK_STEP_BYTES - 1, 5), (BRK_STEP_BYTES, 6), (9 * BRK_STEP_BYTES, 14)):
        peak = MapPeak("seen", 5, data)
        assert judge([peak], LIMIT, 0.2, vmas_merge=False).expected_maps == maps
        assert judge([peak], LIMIT, 0.2, vmas_merge=True).expected_maps == 5


def test_the_peak_that_counts_is_the_highest() -> None:
    """Compared by VMAs where they join, and by VMAs and heap where they do not."""
    peaks = [MapPeak("few", 200, 8 * GIB), MapPeak("many", 900, 0)]
    for joins, source in ((True, "many"), (False, "few")):
        for known in (peaks, peaks[::-1]):
            assert f"({source})" in judge(known, LIMIT, 0.2, vmas_merge=joins).message


def test_what_is_unknown() -> None:
    for peaks, limit, said in (([SMALL], None, "unreadable"), ([], 500, "no copy of this program")):
        judgement = judge(peaks, limit, 0.2, vmas_merge=False)
        assert (judgement.verdict, judgement.limit, judgement.reserve) == ("unknown", limit, 0.2)
        assert (
            judgement.message.startswith("the map limit may not suffice: ")
            and said in judgement.message
        )


def test_the_message_shows_the_arithmetic() -> None:
    judgement = judge([LARGE], LIMIT, 0.2, vmas_merge=False)
    steps = 9 * GIB // BRK_STEP_BYTES
    assert f"300 maps (seen) and {steps} more while merging, of 65530 less 20% = 52424" in (
        judgement.message
    )
    assert "`sudo ksmrun host max-map-count 131072` (up to 28 MiB of kernel" in judgement.todo
    assert "boot Linux 6.17 or later" in judgement.todo
    # Where it has no more maps by merging, no other kernel helps.
    for peak, joins in ((LARGE, True), (MapPeak("given", 64000, None), False), (MANY, True)):
        assert "boot" not in judge([peak], LIMIT, 0.2, vmas_merge=joins).todo
    alone = judge([SMALL], LIMIT, 0.125, vmas_merge=True)
    assert alone.message == "the map limit suffices: 300 maps (seen), of 65530 less 12.5% = 57338"


@given(
    maps=st.integers(1, 10**7),
    data=st.integers(0, 1 << 44),
    reserve=st.floats(0, 0.95),
    joins=st.booleans(),
)
def test_the_limit_it_names_fits(maps: int, data: int, reserve: float, joins: bool) -> None:
    peak = MapPeak("seen", maps, data)
    judgement = judge([peak], LIMIT, reserve, vmas_merge=joins)
    again = judge([peak], judgement.fitting_limit, reserve, vmas_merge=joins)
    assert again.verdict == "fits"
    # And half of it does not fit, or just does.
    half = judgement.fitting_limit // 2
    fits = judge([peak], half, reserve, vmas_merge=joins).verdict == "fits"
    assert not fits or judgement.expected_maps == int(half * (1 - reserve))


def test_actions() -> None:
    short = judge([LARGE], LIMIT, 0.2, vmas_merge=False)
    alone = judge([MANY], LIMIT, 0.2, vmas_merge=False)
    unknown = judge([], LIMIT, 0.2, vmas_merge=False)
    fits = judge([SMALL], LIMIT, 0.2, vmas_merge=False)
    assert action(short, GuardMode.SKIP) == "skip"
    assert action(short, GuardMode.WARN) == "warn"
    assert action(short, GuardMode.REFUSE) == "refuse"
    assert action(short, GuardMode.OFF) == "merge"
    # Not merging would not help a program that is near the limit on its own.
    assert action(alone, GuardMode.SKIP) == "warn"
    for judgement in (unknown, fits):
        for mode in GuardMode:
            assert action(judgement, mode) == "merge"


def test_plans() -> None:
    short = judge([LARGE], LIMIT, 0.2, vmas_merge=False)
    fits = judge([SMALL], LIMIT, 0.2, vmas_merge=False)

    def planned(judgement: object, **changes: object) -> Plan | Refusal:
        request = replace(REQUEST, **changes)  # type: ignore[arg-type]
        return plan_launch(request, b"x", SPLITS, TARGET, judgement)  # type: ignore[arg-type]

    skipped = planned(short)
    assert isinstance(skipped, Plan)
    assert b"--merge=off" in skipped.argv
    assert skipped.mechanism is None
    (warning,) = skipped.warnings
    assert "starts without merging" in warning and "to do:" in warning
    assert isinstance(planned(short, require=True), Refusal)
    assert isinstance(planned(short, guard=GuardMode.REFUSE), Refusal)
    warned = planned(short, guard=GuardMode.WARN)
    assert isinstance(warned, Plan)
    assert b"--merge=on" in warned.argv and len(warned.warnings) == 1
    fitting = planned(fits)
    assert isinstance(fitting, Plan)
    assert fitting.warnings == (), "the general warning is for programs that nobody has seen yet"


def test_check_fails_where_the_guard_takes_merging_away() -> None:
    """Exit code 0 of check means that the program would merge."""
    for peak, status in ((LARGE, "fail"), (SMALL, "ok")):
        judgement = judge([peak], LIMIT, 0.2, vmas_merge=False)
        plan = plan_launch(REQUEST, b"x", SPLITS, TARGET, judgement)
        assert isinstance(plan, Plan)
        row = _plan_row(plan, REQUEST, choose(REQUEST, SPLITS, TARGET, None), judgement, None)
        assert row.status == status
    assert "without merging" not in row.found


def test_when_it_looks() -> None:
    def looks(request: Request, probe: Probe | None, target: TargetFacts = TARGET) -> bool:
        return needs_judgement(request, probe, choose(request, probe, target, b"/x/shim.so"))

    static = replace(TARGET, dynamic=False)
    assert looks(REQUEST, SPLITS, static)
    assert not looks(REQUEST, SPLITS), "the shim joins its VMAs"
    assert looks(replace(REQUEST, mechanism=Mechanism.PRCTL), SPLITS)
    assert not looks(REQUEST, GOOD)
    assert not looks(REQUEST, None)
    assert looks(replace(REQUEST, expect_maps=5), GOOD)
    assert not looks(replace(REQUEST, guard=GuardMode.OFF), SPLITS, static)
    assert not looks(replace(REQUEST, merge=MergeMode.OFF), SPLITS, static)


def test_the_plan_follows_the_verdict_only_where_it_matters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So `check`, which always shows the verdict, plans what `run` does."""
    short = judge([LARGE], LIMIT, 0.2, vmas_merge=False)
    monkeypatch.setattr(known_peaks, "judge_target", lambda *_, **__: (short, ("a note",)))
    request = replace(REQUEST, guard=GuardMode.REFUSE)
    joined = prepare(request, b"x", GOOD, TARGET, None)
    assert isinstance(joined.plan, Plan) and joined.judgement is None and not joined.notes
    split = prepare(request, b"x", SPLITS, TARGET, None)
    assert (
        split.plan == Refusal(short.message, short.todo, "--guard=refuse")
        and split.judgement == short
    )
    assert split.notes == ("a note",)


def test_peaks_are_remembered(tmp_path: Path) -> None:
    file = tmp_path / "state" / "peaks.json"
    assert remembered(file, "a") is None
    remember(file, "a", MapPeak("x", 100, 5000))
    remember(file, "a", MapPeak("x", 50, 9000))
    assert remembered(file, "a") == MapPeak("seen before", 100, 9000)
    others = {f"program {number}": MapPeak("x", 1, None) for number in range(PROGRAMS_MAX - 1)}
    remember_all(file, others)
    assert remembered(file, "a") is not None, "there is still room"
    remember(file, "one more", MapPeak("x", 1, None))
    assert remembered(file, "a") is None, "the oldest went"
    assert len(json.loads(file.read_text())["peaks"]) == PROGRAMS_MAX
    for text in ("", "{", "[]", json.dumps({"schema": PEAKS, "peaks": {"a": 1}})):
        file.write_text(text)
        with pytest.raises(KsmrunError, match=r"damaged|another version"):
            remembered(file, "a")
        remember(file, "a", MapPeak("x", 7, None))
        assert remembered(file, "a") == MapPeak("seen before", 7, 0)
