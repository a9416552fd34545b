"""Chosen mechanism, and the reason given for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ksmrun.model.launch import (
    Mechanism,
    MergeMode,
    Plan,
    Probe,
    Refusal,
    Request,
    TargetFacts,
)
from ksmrun.plan.mechanism import (
    LOST_AT_EXEC,
    adds_vmas,
    can_mark,
    choose,
    not_preloadable,
    obstacle_to_merging,
)

from .planning import plan_launch
from .test_plan import FILTERED, GOOD, LOSES, NEVER_SCANS, NO_KSM, OLD, REQUEST, SPLITS, TARGET

SHIM = b"/x/shim.so"
DYNAMIC, STATIC = replace(TARGET, dynamic=True), replace(TARGET, dynamic=False)
NEW_GROUP = replace(DYNAMIC, setgid=True)
OLD_OBSTACLE = (OLD.prctl_obstacle_what, OLD.prctl_obstacle_todo)


def asked(mechanism: Mechanism, **changes: object) -> Request:
    return replace(REQUEST, mechanism=mechanism, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("probe", [GOOD, OLD, LOSES, None])
@pytest.mark.parametrize("mechanism", Mechanism)
def test_the_flag_may_stay_as_it_is(probe: Probe | None, mechanism: Mechanism) -> None:
    """Nothing is set and nothing is marked, whatever else is requested."""
    for merge, option, said in (
        (MergeMode.KEEP, b"--merge=keep", "left as it was inherited"),
        (MergeMode.OFF, b"--merge=off", "an inherited merge flag is cleared"),
    ):
        request = asked(mechanism, merge=merge)
        choice = choose(request, probe, DYNAMIC, SHIM)
        assert (choice.mechanism, choice.obstacle) == (None, None)
        assert said in choice.reason
        planned = plan_launch(request, b"x", probe, DYNAMIC, shim=SHIM)
        assert isinstance(planned, Plan)
        assert planned.argv == (b"x", option, b"--", *REQUEST.command)
        assert planned.warnings == () and planned.reasons == (choice.reason,)


@pytest.mark.parametrize(
    ("request_", "probe", "target", "mechanism", "said"),
    [
        (REQUEST, GOOD, DYNAMIC, Mechanism.PRCTL, "this kernel keeps the flag"),
        (REQUEST, None, DYNAMIC, Mechanism.PRCTL, "the kernel could not be asked"),
        (REQUEST, OLD, DYNAMIC, Mechanism.MARK, f"marks memory with madvise: {OLD_OBSTACLE[0]}"),
        (REQUEST, LOSES, DYNAMIC, Mechanism.PRELOAD, f"from inside the program: {LOST_AT_EXEC[0]}"),
        (REQUEST, SPLITS, DYNAMIC, Mechanism.PRELOAD, "joins the VMAs"),
        (REQUEST, NEVER_SCANS, DYNAMIC, Mechanism.PRELOAD, "this kernel may not scan it otherwise"),
        (REQUEST, LOSES, STATIC, Mechanism.INJECT, "cannot be used: the program is statically"),
        (REQUEST, LOSES, NEW_GROUP, Mechanism.PRCTL, "cannot be used: the program changes user or"),
        (REQUEST, SPLITS, STATIC, Mechanism.PRCTL, "cannot be used: the program is statically"),
        (asked(Mechanism.PRCTL), LOSES, DYNAMIC, Mechanism.PRCTL, "prctl before exec, as asked"),
        (asked(Mechanism.PRELOAD), GOOD, DYNAMIC, Mechanism.PRELOAD, "sets the merge flag from in"),
        (asked(Mechanism.PRELOAD), LOSES, STATIC, Mechanism.PRCTL, "the shim cannot be used"),
        (asked(Mechanism.MARK), None, DYNAMIC, Mechanism.MARK, "with madvise, as asked"),
        (asked(Mechanism.INJECT), GOOD, DYNAMIC, Mechanism.INJECT, "right after its exec, as ask"),
        (asked(Mechanism.INJECT), None, DYNAMIC, Mechanism.INJECT, "right after its exec, as ask"),
        (
            asked(Mechanism.INJECT),
            OLD,
            DYNAMIC,
            Mechanism.PRCTL,
            f"tried, though {OLD_OBSTACLE[0]}",
        ),
        (REQUEST, NO_KSM, DYNAMIC, Mechanism.PRCTL, f"prctl is tried, though {OLD_OBSTACLE[0]}"),
    ],
)
def test_the_reason(
    request_: Request, probe: Probe | None, target: TargetFacts, mechanism: Mechanism, said: str
) -> None:
    choice = choose(request_, probe, target, SHIM)
    assert choice.mechanism is mechanism
    assert said in choice.reason


@pytest.mark.parametrize(
    ("request_", "probe", "target", "obstacle"),
    [
        (REQUEST, OLD, STATIC, OLD_OBSTACLE),
        (asked(Mechanism.MARK), OLD, STATIC, OLD_OBSTACLE),
        (asked(Mechanism.MARK), OLD, DYNAMIC, None),
        (asked(Mechanism.INJECT), OLD, DYNAMIC, OLD_OBSTACLE),
        (asked(Mechanism.PRCTL), LOSES, DYNAMIC, LOST_AT_EXEC),
        (asked(Mechanism.PRELOAD), LOSES, STATIC, LOST_AT_EXEC),
        (asked(Mechanism.PRELOAD), GOOD, STATIC, None),
        (asked(Mechanism.PRELOAD), None, STATIC, None),
        (REQUEST, replace(GOOD, kept_over_exec=None), DYNAMIC, None),
    ],
)
def test_the_obstacle(
    request_: Request, probe: Probe | None, target: TargetFacts, obstacle: tuple[str, str] | None
) -> None:
    assert choose(request_, probe, target, SHIM).obstacle == obstacle


@pytest.mark.parametrize("mechanism", Mechanism)
@pytest.mark.parametrize("merge", [MergeMode.ON, MergeMode.KEEP])
def test_secrets_are_kept_out_or_nothing_merges(mechanism: Mechanism, merge: MergeMode) -> None:
    """Whoever does not load the shim does not merge: no flag is set or kept before the exec."""
    narrow = replace(DYNAMIC, elf_class_bits=32)
    for probe in (GOOD, OLD, LOSES, SPLITS, NEVER_SCANS, NO_KSM, None):
        for target in (DYNAMIC, STATIC, NEW_GROUP, narrow):
            for inherit in (True, False):
                request = asked(mechanism, merge=merge, inherit=inherit, exclude_secrets=True)
                planned = plan_launch(request, b"x", probe, target, shim=SHIM)
                assert isinstance(planned, Plan)
                assert b"--merge=off" in planned.argv and b"--inject" not in planned.argv
                shim = [word for word in planned.argv if word.startswith(b"--shim=")]
                assert all(b"secrets" in word for word in shim)
                assert len(shim) == (b"--preload=" + SHIM in planned.argv)
                said = "will not merge with --exclude-secrets"
                assert (said in " ".join(planned.warnings)) == (shim == [])
                refused = plan_launch(
                    replace(request, require=True), b"x", probe, target, shim=SHIM
                )
                assert isinstance(refused, Refusal) == (shim == [])


@pytest.mark.parametrize(
    ("mechanism", "probe", "words"),
    [
        (Mechanism.AUTO, GOOD, b"secrets"),
        (Mechanism.AUTO, SPLITS, b"join,secrets"),
        (Mechanism.AUTO, OLD, b"mark,min=65536,reserve=20,secrets"),
        (Mechanism.MARK, GOOD, b"mark,min=65536,reserve=20,secrets"),
        (Mechanism.PRELOAD, LOSES, b"secrets"),
    ],
)
def test_the_shim_keeps_secrets_out(mechanism: Mechanism, probe: Probe, words: bytes) -> None:
    request = asked(mechanism, exclude_secrets=True)
    planned = plan_launch(request, b"x", probe, DYNAMIC, shim=SHIM)
    assert isinstance(planned, Plan) and b"--shim=" + words in planned.argv


@pytest.mark.parametrize("changes", [{"setuid": True}, {"setgid": True}, {"capabilities": True}])
def test_nothing_is_injected_where_privileges_are_gained(changes: dict[str, bool]) -> None:
    for probe in (LOSES, NEVER_SCANS):
        target = replace(STATIC, **changes)  # type: ignore[arg-type]
        assert choose(REQUEST, probe, target, SHIM).mechanism is Mechanism.PRCTL
        assert choose(REQUEST, probe, STATIC, SHIM).mechanism is Mechanism.INJECT


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"setuid": True}, "changes user or group at exec"),
        ({"setgid": True}, "changes user or group at exec"),
        ({"capabilities": True}, "gets capabilities at exec"),
        ({"needs_first_preload": True}, "AddressSanitizer"),
        ({"dynamic": False}, "statically linked"),
    ],
)
def test_programs_that_ld_so_gives_no_shim(changes: dict[str, bool], said: str) -> None:
    found = not_preloadable(replace(TARGET, **changes), SHIM)  # type: ignore[arg-type]
    assert found is not None and said in found
    assert not_preloadable(TARGET, SHIM) is None, "one that is not known is tried"
    assert "a space or colon" in str(not_preloadable(TARGET, None))


def test_an_obstacle_has_words_even_where_the_launcher_has_none() -> None:
    wordless = replace(OLD, prctl_obstacle_what=None, prctl_obstacle_todo=None)
    assert obstacle_to_merging(wordless) == (
        *("prctl(PR_SET_MEMORY_MERGE) fails", "run `ksmrun-exec --probe` and read prctl_error"),
    )
    assert obstacle_to_merging(OLD) == OLD_OBSTACLE
    for works in (True, None):
        assert obstacle_to_merging(replace(OLD, prctl_supported=works)) is None


def test_where_madvise_works_though_the_prctl_does_not() -> None:
    assert can_mark(GOOD) and can_mark(OLD) and can_mark(FILTERED)
    assert can_mark(replace(NO_KSM, prctl_supported=None))
    assert not can_mark(NO_KSM) and not can_mark(replace(OLD, prctl_obstacle=None))


def test_more_vmas_only_where_the_flag_keeps_them_apart() -> None:
    static, dynamic = (choose(REQUEST, SPLITS, each, SHIM) for each in (STATIC, DYNAMIC))
    assert adds_vmas(SPLITS, static)
    assert not adds_vmas(SPLITS, dynamic), "the shim joins them"
    assert adds_vmas(SPLITS, choose(asked(Mechanism.INJECT), SPLITS, STATIC, SHIM))
    assert not adds_vmas(GOOD, static) and not adds_vmas(None, static)
    assert not adds_vmas(replace(SPLITS, mmap_vmas=None), static)
