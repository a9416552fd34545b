"""Options of ksmrun-exec: each one only where it is requested."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.model.launch import (
    GuardMode,
    LayoutScope,
    MapPeak,
    Mechanism,
    MergeMode,
    Plan,
    Probe,
    Refusal,
    Request,
    SeedMode,
    SharedLayout,
    TargetFacts,
    ThpMode,
)
from ksmrun.plan.guard import judge
from ksmrun.plan.launch import needs_judgement
from ksmrun.plan.mechanism import LOST_AT_EXEC, Choice

from .planning import plan_launch
from .test_plan import GOOD, LOSES, NEVER_SCANS, OLD, REQUEST, SPLITS, TARGET

SHIM = b"/x/shim.so"
STATIC = replace(TARGET, dynamic=False)
OWN_SEEDS = SharedLayout(b"/run/key", None, SeedMode.OWN)


def planned(
    request: Request, probe: Probe | None = GOOD, target: TargetFacts = TARGET
) -> Plan | Refusal:
    return plan_launch(request, b"x", probe, target, shim=SHIM)


def options(
    request: Request, probe: Probe | None = GOOD, target: TargetFacts = TARGET
) -> list[bytes]:
    """Return the options between the launcher and the command, which are always the same."""
    plan = planned(request, probe, target)
    assert isinstance(plan, Plan)
    cut = plan.argv.index(b"--")
    assert plan.argv[0] == b"x" and plan.argv[cut + 1 :] == request.command
    return list(plan.argv[1:cut])


@pytest.mark.parametrize(
    ("changes", "added"),
    [
        ({}, []),
        ({"thp": ThpMode.OFF}, [b"--thp=off"]),
        ({"require": True}, [b"--require"]),
        ({"quiet": True}, [b"--quiet"]),
        ({"verify": True}, [b"--verify"]),
        ({"mechanism": Mechanism.INJECT}, [b"--inject"]),
        ({"layout": OWN_SEEDS}, [b"--layout=shared", b"--layout-key=/run/key", b"--seeds=own"]),
        (
            {"layout": replace(OWN_SEEDS, label="a#0", scope=LayoutScope.TREE)},
            [
                *(b"--layout=shared", b"--layout-key=/run/key", b"--layout-group=a#0"),
                *(b"--layout-scope=tree", b"--seeds=own"),
            ],
        ),
        (
            {"layout": SharedLayout(b"/k", "b")},
            [
                *(b"--preload=/x/shim.so", b"--shim=keep", b"--layout=shared"),
                *(b"--layout-key=/k", b"--layout-group=b"),
            ],
        ),
    ],
)
def test_an_option_stands_for_what_is_asked(changes: dict[str, object], added: list[bytes]) -> None:
    request = replace(REQUEST, **changes)  # type: ignore[arg-type]
    assert options(request) == [b"--merge=on", *added]


@given(
    st.fixed_dictionaries(
        {
            "merge": st.sampled_from(MergeMode),
            "thp": st.sampled_from(ThpMode),
            "quiet": st.booleans(),
            "verify": st.booleans(),
            "require": st.booleans(),
            "layout": st.none()
            | st.builds(
                SharedLayout,
                st.just(b"/k"),
                st.none() | st.just("g"),
                st.sampled_from(SeedMode),
                st.sampled_from(LayoutScope),
            ),
        }
    )
)
def test_options_are_asked_for_one_by_one(changes: dict[str, object]) -> None:
    """Requesting several options together gives the same as requesting each alone."""
    together = options(replace(REQUEST, **changes))  # type: ignore[arg-type]
    alone = [options(replace(REQUEST, **{name: value})) for name, value in changes.items()]  # type: ignore[arg-type]
    rest = {option for each in alone for option in each if not option.startswith(b"--merge=")}
    assert set(together[1:]) == rest
    assert [together[0]] == [
        each[0] for name, each in zip(changes, alone, strict=True) if name == "merge"
    ]
    assert len(together) == len(rest) + 1


@pytest.mark.parametrize(
    ("probe", "merge"),
    [
        # An inherited flag reaches static children, on kernels that keep it and scan them.
        (SPLITS, b"--merge=on"),
        (LOSES, b"--merge=keep"),
        (NEVER_SCANS, b"--merge=keep"),
        (None, b"--merge=keep"),
        (replace(GOOD, kept_over_exec=None), b"--merge=keep"),
    ],
)
def test_the_flag_beside_the_shim(probe: Probe | None, merge: bytes) -> None:
    asked = replace(REQUEST, mechanism=Mechanism.PRELOAD)
    assert options(asked, probe)[:2] == [merge, b"--preload=/x/shim.so"]


@given(st.integers(0, 99), st.integers(0, 1 << 40))
def test_what_a_marking_shim_is_told(percent: int, least: int) -> None:
    request = replace(REQUEST, map_reserve=percent / 100, mark_min_bytes=least)
    assert options(request, OLD) == [
        *(b"--merge=off", b"--preload=/x/shim.so"),
        b"--shim=mark,min=%d,reserve=%d" % (least, percent),
    ]


def test_a_reserve_is_never_all() -> None:
    assert options(replace(REQUEST, map_reserve=0.999), OLD)[-1].endswith(b",reserve=99")


def test_refusals() -> None:
    """Refused only where --require cannot be fulfilled, and with a message."""
    required = replace(REQUEST, require=True)
    refused = planned(replace(required, mechanism=Mechanism.INJECT))
    assert isinstance(refused, Refusal)
    assert (
        "--mechanism=inject" in refused.what
        and "leave out --require or --mechanism=inject" in refused.todo
    )
    refused = planned(required, LOSES, STATIC)
    assert isinstance(refused, Refusal)
    assert refused == Refusal(f"memory will not merge: {LOST_AT_EXEC[0]}", LOST_AT_EXEC[1])
    judgement = judge([MapPeak("seen", 60_000, None)], 65530, 0.2, vmas_merge=True)
    request = replace(REQUEST, guard=GuardMode.REFUSE)
    assert plan_launch(request, b"x", GOOD, TARGET, judgement) == Refusal(
        judgement.message, judgement.todo, "--guard=refuse"
    )


def test_reasons() -> None:
    for target, note in ((TARGET, ()), (replace(TARGET, note="no such file"), ("no such file",))):
        plan = planned(REQUEST, GOOD, target)
        assert isinstance(plan, Plan)
        assert plan.reasons[1:] == tuple(
            f"nothing is known of the program: {each}" for each in note
        )
    plan = planned(replace(REQUEST, layout=SharedLayout(b"/k", None)))
    assert isinstance(plan, Plan)
    assert "the group's seeds" in plan.reasons[-1]


def test_a_general_warning_is_for_programs_that_nobody_has_seen() -> None:
    prctl = replace(REQUEST, mechanism=Mechanism.PRCTL)
    unknown = judge([], 65530, 0.2, vmas_merge=False)
    for judgement in (None, unknown):
        plan = plan_launch(prctl, b"x", SPLITS, TARGET, judgement)
        assert isinstance(plan, Plan)
        (warning,) = plan.warnings
        assert "(6.12.43)" in warning and "vm.max_map_count=1048576" in warning
    both = replace(NEVER_SCANS, mmap_vmas=65)
    plan = planned(prctl, both)
    assert isinstance(plan, Plan) and len(plan.warnings) == 2
    assert "Linux 6.7 to 6.8.11" in plan.warnings[0] and "6.8.3" in plan.warnings[0]
    plan = planned(prctl, replace(both, prctl_supported=None))
    assert isinstance(plan, Plan) and len(plan.warnings) == 1, "whether it merges is not known"


def test_an_expected_number_of_maps_is_judged_on_any_kernel() -> None:
    request = replace(REQUEST, expect_maps=5)
    choice = Choice(Mechanism.PRCTL, "")
    assert needs_judgement(request, None, choice) and not needs_judgement(REQUEST, None, choice)
    for changes in ({"merge": MergeMode.OFF}, {"merge": MergeMode.KEEP}, {"guard": GuardMode.OFF}):
        assert not needs_judgement(replace(request, **changes), None, choice)
