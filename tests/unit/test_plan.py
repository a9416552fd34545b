"""Decisions, without a kernel."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.model.ksm import HostFacts, KsmFacts
from ksmrun.model.launch import (
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
from ksmrun.plan.launch import shell_line
from ksmrun.plan.mechanism import choose

from .planning import plan_launch

# Answers of 6.18; the others differ from it as older kernels do.
GOOD = Probe(
    kernel="6.18.0",
    machine="x86_64",
    prctl_supported=True,
    prctl_obstacle=None,
    prctl_obstacle_what=None,
    prctl_obstacle_todo=None,
    kept_over_fork=True,
    kept_over_exec=True,
    scanned_after_exec="unknown",
    known_not_scanned=None,
    vma_steps=64,
    mmap_vmas=1,
    brk_vmas=0,
    ksm_stat_fields=("ksm_rmap_items",),
    ptrace_allowed=True,
    set_mm_map_allowed=True,
)
OLD = replace(
    GOOD,
    kernel="6.1.0",
    prctl_supported=False,
    prctl_obstacle="kernel-too-old",
    prctl_obstacle_what="this kernel has no PR_SET_MEMORY_MERGE",
    prctl_obstacle_todo="boot Linux 6.12 or later",
    kept_over_exec=None,
)
NO_KSM = replace(OLD, prctl_obstacle="no-config-ksm")
FILTERED = replace(OLD, kernel="6.18.0", prctl_obstacle="seccomp")
LOSES = replace(GOOD, kernel="6.6.9", kept_over_exec=False)
NEVER_SCANS = replace(GOOD, kernel="6.8.3", known_not_scanned="6.7 to 6.8.11")
SPLITS = replace(GOOD, kernel="6.12.43", mmap_vmas=65, brk_vmas=64)
TARGET = TargetFacts("/bin/server")
REQUEST = Request((b"server", b"--port", b"1"))
KSM = KsmFacts(True, 4096, {"run": 1, "pages_to_scan": 100, "sleep_millisecs": 20})
HOST = HostFacts(
    kernel="6.18.0",
    ksm=KSM,
    mem_total_bytes=8 << 30,
    mem_available_bytes=4 << 30,
    anonymous_bytes=2 << 30,
    swap_total_bytes=0,
    swap_free_bytes=0,
    zswap_enabled=None,
    thp_enabled="madvise",
    max_map_count=65530,
    numa_nodes=1,
    container=None,
    hidepid=False,
    seccomp_mode=0,
    no_new_privs=False,
    capabilities=(),
    ksm_writable=False,
)


def plan(request: Request = REQUEST, probe: Probe | None = GOOD) -> Plan:
    planned = plan_launch(request, b"/x/ksmrun-exec", probe, TARGET)
    assert isinstance(planned, Plan)
    return planned


def test_the_command_line() -> None:
    assert plan().argv == (b"/x/ksmrun-exec", b"--merge=on", b"--", b"server", b"--port", b"1")
    request = Request((b"x",), MergeMode.OFF, ThpMode.OFF, True, True, True)
    options = (b"--merge=off", b"--thp=off", b"--require", b"--quiet", b"--verify")
    assert plan(request).argv == (b"/x/ksmrun-exec", *options, b"--", b"x")


SHIM = b"/x/$PLATFORM/shim.so"
DYNAMIC = replace(TARGET, dynamic=True)
STATIC = replace(TARGET, dynamic=False)


@pytest.mark.parametrize(
    ("probe", "target", "mechanism", "merges"),
    [
        (GOOD, DYNAMIC, Mechanism.PRCTL, True),
        (GOOD, STATIC, Mechanism.PRCTL, True),
        (None, DYNAMIC, Mechanism.PRCTL, True),
        (SPLITS, DYNAMIC, Mechanism.PRELOAD, True),
        (SPLITS, STATIC, Mechanism.PRCTL, True),
        (OLD, DYNAMIC, Mechanism.MARK, True),
        (OLD, STATIC, Mechanism.PRCTL, False),
        (FILTERED, DYNAMIC, Mechanism.MARK, True),
        (NO_KSM, DYNAMIC, Mechanism.PRCTL, False),
        (LOSES, DYNAMIC, Mechanism.PRELOAD, True),
        (LOSES, TARGET, Mechanism.PRELOAD, True),
        (LOSES, STATIC, Mechanism.INJECT, True),
        (LOSES, replace(DYNAMIC, setuid=True), Mechanism.PRCTL, False),
        (NEVER_SCANS, DYNAMIC, Mechanism.PRELOAD, True),
        (NEVER_SCANS, STATIC, Mechanism.INJECT, True),
        (NEVER_SCANS, replace(STATIC, capabilities=True), Mechanism.PRCTL, True),
        (replace(NEVER_SCANS, scanned_after_exec="yes"), DYNAMIC, Mechanism.PRCTL, True),
    ],
)
def test_mechanisms(
    probe: Probe | None, target: TargetFacts, mechanism: Mechanism, merges: bool
) -> None:
    choice = choose(REQUEST, probe, target, SHIM)
    assert (choice.mechanism, choice.obstacle is None) == (mechanism, merges)


def test_a_mechanism_that_is_asked_for() -> None:
    preload = replace(REQUEST, mechanism=Mechanism.PRELOAD)
    assert choose(preload, GOOD, DYNAMIC, SHIM).mechanism is Mechanism.PRELOAD
    assert "statically" in choose(preload, GOOD, STATIC, SHIM).reason
    assert "space or colon" in choose(preload, GOOD, DYNAMIC, None).reason
    prctl = replace(REQUEST, mechanism=Mechanism.PRCTL)
    assert choose(prctl, LOSES, DYNAMIC, SHIM).mechanism is Mechanism.PRCTL
    assert choose(preload, OLD, DYNAMIC, SHIM).obstacle is not None
    mark = replace(REQUEST, mechanism=Mechanism.MARK)
    assert choose(mark, GOOD, DYNAMIC, SHIM).mechanism is Mechanism.MARK
    assert choose(mark, None, DYNAMIC, SHIM).mechanism is Mechanism.MARK
    assert choose(mark, OLD, STATIC, SHIM).obstacle is not None
    off = replace(preload, merge=MergeMode.OFF)
    assert choose(off, GOOD, DYNAMIC, SHIM).mechanism is None


def test_injection() -> None:
    """It happens after the exec, so it can be no condition for the exec."""
    planned = plan_launch(REQUEST, b"/x/ksmrun-exec", LOSES, STATIC, None, SHIM)
    assert isinstance(planned, Plan)
    assert planned.argv[1:3] == (b"--merge=on", b"--inject")
    asked = replace(REQUEST, mechanism=Mechanism.INJECT)
    assert choose(asked, GOOD, STATIC, SHIM).mechanism is Mechanism.INJECT
    assert choose(asked, OLD, STATIC, SHIM).obstacle is not None
    required = replace(REQUEST, require=True)
    assert choose(required, LOSES, STATIC, SHIM).mechanism is Mechanism.PRCTL
    for each in (required, replace(asked, require=True)):
        refused = plan_launch(each, b"/x/ksmrun-exec", LOSES, STATIC, None, SHIM)
        assert isinstance(refused, Refusal)


def test_the_command_line_with_the_shim() -> None:
    planned = plan_launch(REQUEST, b"/x/ksmrun-exec", LOSES, DYNAMIC, None, SHIM)
    assert isinstance(planned, Plan)
    assert planned.argv[1:3] == (b"--merge=keep", b"--preload=" + SHIM)
    assert planned.warnings == ()
    planned = plan_launch(replace(REQUEST, inherit=False), b"x", LOSES, DYNAMIC, None, SHIM)
    assert isinstance(planned, Plan)
    assert planned.argv[3] == b"--shim=once"
    planned = plan_launch(REQUEST, b"x", SPLITS, DYNAMIC, None, SHIM)
    assert isinstance(planned, Plan)
    assert planned.argv[1:4] == (b"--merge=on", b"--preload=" + SHIM, b"--shim=join")
    assert planned.warnings == ()
    request = replace(REQUEST, mark_min_bytes=5, map_reserve=0.1)
    planned = plan_launch(request, b"x", OLD, DYNAMIC, None, SHIM)
    assert isinstance(planned, Plan)
    shim = (b"--preload=" + SHIM, b"--shim=mark,min=5,reserve=10")
    assert planned.argv[1:4] == (b"--merge=off", *shim)
    assert planned.warnings == ()


def test_require_refuses_where_nothing_would_merge() -> None:
    request = replace(REQUEST, require=True)
    planned = plan_launch(request, b"x", LOSES, STATIC, None, SHIM)
    assert isinstance(planned, Refusal)
    assert planned.what and planned.todo
    # Only the launcher finds out whether the prctl works, and it gets --require too.
    for other in (GOOD, OLD, NEVER_SCANS, SPLITS, None):
        assert isinstance(plan_launch(request, b"x", other, TARGET), Plan)
    off = replace(request, merge=MergeMode.OFF)
    assert isinstance(plan_launch(off, b"x", OLD, TARGET), Plan)


def test_warnings_name_kernel_and_remedy() -> None:
    assert plan().warnings == ()
    for probe in (OLD, LOSES):
        assert plan(probe=probe).warnings == (), "the launcher says these"
    prctl = replace(REQUEST, mechanism=Mechanism.PRCTL)
    for probe, words in ((NEVER_SCANS, "never scan"), (SPLITS, "max_map_count")):
        (warning,) = plan(prctl, probe).warnings
        assert words in warning
        assert "to do:" in warning
        assert plan(replace(REQUEST, merge=MergeMode.OFF), probe).warnings == ()
    assert plan(probe=replace(NEVER_SCANS, scanned_after_exec="yes")).warnings == ()


@given(st.lists(st.binary(min_size=1).filter(lambda b: b"\0" not in b), min_size=1))
def test_shell_line_is_never_cut(words: list[bytes]) -> None:
    line = shell_line(plan(Request(tuple(words))))
    for word in words:
        assert word.replace(b"'", b"'\"'\"'") in line


SHIM = b"/x/shim.so"
SHARED = replace(REQUEST, layout=SharedLayout(b"/run/key", "group#0"))


def shim_words(request: Request, probe: Probe, target: TargetFacts = TARGET) -> bytes | None:
    """Return the words for the shim; None if it is not preloaded."""
    planned = plan_launch(request, b"/x/ksmrun-exec", probe, target, shim=SHIM)
    assert isinstance(planned, Plan)
    options = planned.argv[: planned.argv.index(b"--")]
    if b"--preload=" + SHIM not in options:
        return None
    return b"".join(o.removeprefix(b"--shim=") for o in options if o.startswith(b"--shim="))


def test_seeds_bring_the_shim_where_merging_does_not() -> None:
    assert shim_words(SHARED, GOOD) == b"keep"
    assert shim_words(replace(SHARED, inherit=False), GOOD) == b"keep,once"
    assert shim_words(replace(SHARED, merge=MergeMode.OFF), GOOD) == b"keep"
    # If it is loaded anyway, it does its usual work.
    assert shim_words(SHARED, LOSES) == b""
    assert shim_words(SHARED, SPLITS) == b"join"
    assert shim_words(SHARED, OLD) == b"mark,min=65536,reserve=20"


def test_without_shared_seeds_all_is_as_ever() -> None:
    own = replace(SHARED, layout=SharedLayout(b"/run/key", "group#0", SeedMode.OWN))
    for probe, words in ((GOOD, None), (LOSES, b""), (SPLITS, b"join")):
        assert shim_words(own, probe) == shim_words(REQUEST, probe) == words


@pytest.mark.parametrize(
    "target",
    [
        replace(TARGET, setuid=True),
        replace(TARGET, capabilities=True),
        replace(TARGET, needs_first_preload=True),
        replace(TARGET, dynamic=False),
    ],
)
def test_seeds_of_what_cannot_be_preloaded_stay(target: TargetFacts) -> None:
    assert shim_words(SHARED, GOOD, target) is None
    planned = plan_launch(SHARED, b"/x/ksmrun-exec", GOOD, target, shim=SHIM)
    assert isinstance(planned, Plan)
    assert "its own seeds" in planned.reasons[-1]
