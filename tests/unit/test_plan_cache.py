"""What the front starts without Python is what Python would start, whatever the program."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ksmrun.launch.plan_cache import _is_usual, _options
from ksmrun.launch.prepare import prepare
from ksmrun.model.launch import Plan, Probe, Request, SharedLayout, TargetFacts
from ksmrun.plan.clients import CLIENTS, find_client
from ksmrun.plan.command_words import SHELLS, WRAPPERS
from ksmrun.plan.launch import NO_VARIABLES
from ksmrun.plan.mechanism import is_same_for_all

from .test_plan import GOOD

MAYBE = st.none() | st.booleans()
PROBES = st.builds(
    replace,
    st.just(GOOD),
    prctl_supported=MAYBE,
    prctl_obstacle=st.sampled_from([None, "seccomp", "no-config-ksm"]),
    kept_over_exec=MAYBE,
    scanned_after_exec=st.sampled_from(["yes", "no", "unknown"]),
    known_not_scanned=st.sampled_from([None, "6.7"]),
    mmap_vmas=st.sampled_from([None, 1, 16]),
)
TARGETS = st.builds(
    TargetFacts,
    path=st.just("/bin/x"),
    dynamic=MAYBE,
    pie=st.booleans(),
    setuid=st.booleans(),
    setgid=st.booleans(),
    capabilities=st.booleans(),
    needs_first_preload=st.booleans(),
    note=st.none() | st.just("unreadable"),
)
REQUESTS = st.builds(
    Request,
    st.just((b"x", b"y")),
    require=st.booleans(),
    verify=st.booleans(),
    quiet=st.booleans(),
)


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(PROBES.filter(is_same_for_all), TARGETS, REQUESTS, st.none() | st.just(b"/shim.so"))
def test_one_plan_for_all(
    probe: Probe, target: TargetFacts, request: Request, shim: bytes | None
) -> None:
    prepared = prepare(request, b"/exec", probe, target, shim)
    switches = ((b"--require", request.require), (b"--quiet", request.quiet))
    options = [name for name, given in (*switches, (b"--verify", request.verify)) if given]
    assert isinstance(prepared.plan, Plan)
    assert prepared.plan.argv == (b"/exec", b"--merge=on", *options, b"--", b"x", b"y")
    assert not prepared.plan.warnings and not prepared.notes and prepared.judgement is None


OTHERS = ("run", "-c", "start", "x", "-X", "docker run")
WORDS = st.sampled_from([*CLIENTS, *SHELLS, *WRAPPERS, *OTHERS])


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_only_listed_names_are_clients(words: list[str]) -> None:
    if words[0] not in {*CLIENTS, *SHELLS, *WRAPPERS}:
        assert find_client(words, {"STY": "1", "CONTAINER_HOST": "x"}, 0) is None


def test_what_is_usual() -> None:
    request = Request((b"x",), quiet=True)
    plan = Plan(None, (b"/exec", b"--merge=on", b"--quiet", b"--", b"x"), (), ())
    probe = GOOD
    assert _is_usual(plan, request, probe, {"PATH": "/bin"})
    assert not _is_usual(plan, request, probe, {"KSMRUN_QUIET": ""})
    assert not _is_usual(plan, replace(request, map_reserve=0.5), probe, {})
    assert not _is_usual(plan, replace(request, require=True), probe, {})
    assert not _is_usual(replace(plan, warnings=("x",)), request, probe, {})


@given(TARGETS, REQUESTS, st.none() | st.just(b"/shim.so"))
def test_what_is_saved_of_a_layout_is_all_but_the_users_switches(
    target: TargetFacts, request: Request, shim: bytes | None
) -> None:
    shared = replace(request, layout=SharedLayout(b"/key", "default#0"))
    others = Request(request.command, layout=shared.layout)
    plans = [
        prepare(each, b"/exec", GOOD, target, shim, NO_VARIABLES).plan for each in (shared, others)
    ]
    assert isinstance(plans[0], Plan) and isinstance(plans[1], Plan)
    assert _is_usual(plans[0], request, GOOD, {})
    assert _options(plans[0], request) == _options(plans[1], others)
