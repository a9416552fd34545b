"""Tunables computed from a target for ksmd, and the messages about them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.model.errors import KsmrunError
from ksmrun.model.ksm import KsmFacts
from ksmrun.model.tuning import Intent, Memory, Profile, ScanCost, TunePlan
from ksmrun.plan.tuning import PROFILES, RATE_MAX, calmer, tuned, whole_core

from .test_plan import HOST

GIB_PAGES = (1 << 30) // 4096
OLD: dict[str, int | str] = {
    "run": 1,
    "pages_to_scan": 100,
    "sleep_millisecs": 20,
    "use_zero_pages": 0,
    "max_page_sharing": 256,
    "merge_across_nodes": 1,
}
NEW: dict[str, int | str] = OLD | {
    "smart_scan": 1,
    "advisor_mode": "none",
    "advisor_max_cpu": 70,
    "advisor_target_scan_time": 200,
    "advisor_min_pages_to_scan": 500,
    "advisor_max_pages_to_scan": 30000,
}


def planned(
    values: dict[str, int | str], memory: Memory, seconds_per_page: float, intent: Intent
) -> TunePlan:
    host = replace(HOST, ksm=KsmFacts(True, 4096, values))
    return tuned(host, memory, ScanCost(seconds_per_page, "measured"), intent)


def settings(plan: TunePlan) -> dict[str, str]:
    return {knob.name: knob.then for knob in plan.knobs}


@given(
    gib=st.floats(0.1, 512),
    cost=st.floats(2e-7, 1e-5),
    share=st.floats(0.01, 0.99),
    values=st.sampled_from([OLD, NEW]),
)
def test_share_of_a_core(
    gib: float, cost: float, share: float, values: dict[str, int | str]
) -> None:
    """The time of a batch, and of the full scan that follows from it, as in mm/ksm.c."""
    memory = Memory(int(gib * GIB_PAGES), 8)
    plan = planned(values, memory, cost, Intent(cpu_share_max=share))
    found = settings(plan)
    pages = int(found["pages_to_scan"])
    assert (found["sleep_millisecs"], found["run"]) == ("20", "1")
    busy = pages * cost
    assert busy / (busy + 0.02) <= share * 1.0001
    if pages < RATE_MAX:
        # One page more would exceed it.
        assert (busy + cost) / (busy + cost + 0.02) >= share * 0.9999
    assert plan.cpu_share == pytest.approx(busy / (busy + 0.02))
    assert plan.full_scan_seconds == pytest.approx(memory.mergeable_pages / pages * (busy + 0.02))


@given(gib=st.floats(1, 512), cost=st.floats(2e-7, 1e-5), seconds=st.floats(1, 3600))
def test_time_of_a_pass(gib: float, cost: float, seconds: float) -> None:
    """Achieved, or refused with a time that is possible."""
    memory = Memory(int(gib * GIB_PAGES), 8)
    intent = Intent(full_scan_seconds=seconds)
    try:
        plan = planned(OLD, memory, cost, intent)
    except KsmrunError as error:
        assert memory.mergeable_pages * cost > seconds
        least = float(error.todo.partition("--scan-time ")[2].partition("s")[0])
        planned(OLD, memory, cost, Intent(full_scan_seconds=least))
        return

    def seconds_of(pages: int) -> float:
        return memory.mergeable_pages / pages * (pages * cost + 0.02)

    pages = int(settings(plan)["pages_to_scan"])
    assert plan.full_scan_seconds == pytest.approx(seconds_of(pages))
    # A rate is a whole number of pages: this one takes as long or longer, one page more does not.
    assert pages == 1 or seconds_of(pages) >= seconds * 0.999
    assert pages == RATE_MAX or seconds_of(pages + 1) <= seconds * 1.001


@pytest.mark.parametrize(("profile", "share"), [("gentle", 0.05), ("balanced", 0.2), ("fast", 0.7)])
def test_profiles(profile: str, share: float) -> None:
    """What it says of a core, to the user who names it."""
    plan = planned(NEW, Memory(GIB_PAGES, 8), 1e-6, PROFILES[Profile(profile)])
    assert plan.cpu_share == pytest.approx(share, rel=0.01)


@pytest.mark.parametrize(
    ("intent", "what", "todo"),
    [
        (
            Intent(20),
            "a full scan of 100.0 GiB takes 26 s of CPU here (1.0 µs a page, measured): within "
            "20 s that is 131% of a core, and 100% is the limit",
            "ask for --scan-time 27s or more",
        ),
        (Intent(50, 0.5), "52% of a core, and 50% is", "53s or more, or a higher --max-cpu"),
        (Intent(60, 0.4), "44% of a core, and 40% is", "67s or more, or a higher --max-cpu"),
    ],
)
def test_what_cannot_be_had(intent: Intent, what: str, todo: str) -> None:
    with pytest.raises(KsmrunError) as caught:
        planned(NEW, Memory(100 * GIB_PAGES, 8), 1e-6, intent)
    assert what in caught.value.what and caught.value.todo.endswith(todo)


def test_what_just_can() -> None:
    for values in (OLD, NEW):
        took = planned(values, Memory(10**6, 8), 1e-6, Intent(2.0, 0.5)).full_scan_seconds
        assert took is not None and took > 1.9


@given(
    values=st.sampled_from([OLD, NEW, NEW | {"advisor_mode": "scan-time", "run": 2}]),
    intent=st.builds(Intent, st.none() | st.just(100.0), st.floats(0.05, 1)),
)
def test_each_setting_says_what_it_was_and_why(
    values: dict[str, int | str], intent: Intent
) -> None:
    plan = planned(values, Memory(GIB_PAGES, 8), 1e-6, intent)
    for knob in plan.knobs:
        assert knob.now == str(values[knob.name])
        assert knob.why
    assert settings(plan)["run"] == "1"


def test_advisor() -> None:
    """For the time of a full scan, in an order that the kernel accepts; with its own minimum."""
    plan = planned(NEW, Memory(100 * GIB_PAGES, 8), 1e-6, Intent(120, 0.5))
    found = settings(plan)
    assert list(found)[-2:] == ["advisor_mode", "run"]
    assert found["advisor_target_scan_time"] == "120"
    assert found["advisor_max_cpu"] == "50"
    assert plan.full_scan_seconds == pytest.approx(120)
    assert plan.cpu_share == pytest.approx(26.2144 / 120)
    # It uses at least a tenth of a core, so it is not for those who want less.
    assert planned(NEW, Memory(GIB_PAGES, 8), 1e-6, Intent(60, 0.5)).cpu_share == 0.1
    found = settings(planned(NEW, Memory(GIB_PAGES, 8), 1e-6, Intent(60, 0.05)))
    assert found["advisor_mode"] == "none"
    # No advisor if a share is requested, and none of its tunables before 6.8.
    found = settings(
        planned(NEW | {"advisor_mode": "scan-time"}, Memory(9, 2), 1e-6, Intent(None, 0.2))
    )
    assert next(iter(found)) == "advisor_mode"
    assert found["advisor_mode"] == "none"
    assert not any(
        "advisor" in name for name in settings(planned(OLD, Memory(9, 2), 1e-6, Intent(9.0)))
    )


@pytest.mark.parametrize(
    ("changes", "intent", "cost", "pages"),
    [
        # Where it begins, and what the full scan may need: the kernel's own value if that is
        # enough.
        ({}, Intent(600, 0.5), 1e-6, ("500", "30000")),
        ({"sleep_millisecs": 40}, Intent(600, 0.5), 1e-6, ("500", "40000")),
        ({"sleep_millisecs": "x"}, Intent(600, 0.7), 1e-6, ("500", "46666")),
        ({"advisor_min_pages_to_scan": "x"}, Intent(600, 0.5), 1e-6, ("500", "30000")),
        ({"advisor_max_pages_to_scan": "x"}, Intent(600, 0.5), 1e-6, ("500", "30000")),
        ({"advisor_min_pages_to_scan": 9}, Intent(600, 0.5), 1e-6, ("9", "30000")),
        ({"advisor_max_pages_to_scan": 10**5}, Intent(600, 0.5), 1e-6, ("500", "100000")),
        ({}, Intent(600), 1e-6, ("500", "1000000")),
        ({}, Intent(600, 0.1), 1e-5, ("222", "30000")),
        ({}, Intent(600, 0.1), 0.1, ("1", "30000")),
    ],
)
def test_bounds_of_the_advisor(
    changes: dict[str, int | str], intent: Intent, cost: float, pages: tuple[str, str]
) -> None:
    found = settings(planned(NEW | changes, Memory(90, 8), cost, intent))
    assert found["advisor_mode"] == "scan-time"
    assert found["advisor_target_scan_time"] == "600"
    assert found["advisor_max_cpu"] == str(round((intent.cpu_share_max or 1) * 100))
    assert (found["advisor_min_pages_to_scan"], found["advisor_max_pages_to_scan"]) == pages


def test_the_least_there_is() -> None:
    """The kernel counts whole seconds, and whole pages."""
    found = settings(planned(NEW, Memory(9, 8), 1e-6, Intent(0.4, 0.5)))
    assert found["advisor_target_scan_time"] == "1"
    assert settings(planned(OLD, Memory(9, 8), 1.0, Intent(None, 0.01)))["pages_to_scan"] == "1"
    assert settings(planned(OLD, Memory(9, 8), 1e-6, Intent(9000.0)))["pages_to_scan"] == "1"


def test_reasons() -> None:
    def why(intent: Intent) -> str:
        plan = planned(OLD, Memory(3 * GIB_PAGES // 2, 8), 2e-6, intent)
        return next(knob.why for knob in plan.knobs if knob.name == "pages_to_scan")

    assert why(Intent(cpu_share_max=0.2)) == "20% of a core, at 2.0 µs a page"
    assert why(Intent(60)) == "a full scan of 1.5 GiB in 60 s"


def test_changes_only() -> None:
    plan = planned(NEW, Memory(GIB_PAGES, 8), 1e-6, Intent(cpu_share_max=0.5))
    assert [knob.name for knob in plan.changes] == ["pages_to_scan"]
    off = planned(NEW | {"run": 0}, Memory(GIB_PAGES, 8), 1e-6, Intent(cpu_share_max=0.5))
    assert off.changes[-1].name == "run"


def test_nothing_to_scan() -> None:
    with pytest.raises(KsmrunError, match="no program merges on this host now") as caught:
        planned(OLD, Memory(0, 0), 1e-6, Intent(60.0))
    assert "start the programs first" in caught.value.todo
    assert planned(NEW, Memory(0, 0), 1e-6, Intent(60.0)).full_scan_seconds == 0


@pytest.mark.parametrize(
    ("values", "memory", "host", "said"),
    [
        ({}, Memory(9, 8, zero_share=0.05), {}, "5% of the memory looked at are pages of zeros"),
        ({}, Memory(9, 2), {}, "with so few processes (2) smart_scan"),
        (
            *({"stable_node_dups": 20_000}, Memory(9, 8), {}),
            "20000 pages are kept twice or more, as at most 256 places",
        ),
        ({}, Memory(9, 8), {"numa_nodes": 2}, "across 2 NUMA nodes"),
        (
            {},
            Memory(9, 8),
            {"thp_enabled": "always", "khugepaged_max_ptes_shared": 256},
            "khugepaged collapses ranges with up to 256",
        ),
    ],
)
def test_advice(
    values: dict[str, int | str], memory: Memory, host: dict[str, object], said: str
) -> None:
    """Only if there is a reason."""
    quiet = replace(HOST, ksm=KsmFacts(True, 4096, NEW), numa_nodes=1, thp_enabled="madvise")
    intent, cost = Intent(cpu_share_max=0.2), ScanCost(1e-6, "measured")
    assert tuned(quiet, Memory(9, 8, 0.001), cost, intent).advice == ()
    loud = replace(quiet, ksm=KsmFacts(True, 4096, NEW | values), **host)  # type: ignore[arg-type]
    ((what, todo),) = tuned(loud, memory, cost, intent).advice
    assert said in what
    assert "sudo ksmrun host set" in todo


@pytest.mark.parametrize(
    ("values", "memory", "host", "advised"),
    [
        ({}, Memory(9, 8, zero_share=0.02), {}, True),
        ({}, Memory(9, 8, zero_share=0.019), {}, False),
        ({"use_zero_pages": 1}, Memory(9, 8, zero_share=0.5), {}, False),
        ({}, Memory(9, 0), {}, False),
        ({}, Memory(9, 1), {}, True),
        ({}, Memory(9, 3), {}, True),
        ({}, Memory(9, 4), {}, False),
        ({"smart_scan": 0}, Memory(9, 2), {}, False),
        # More than 64 MiB.
        ({"stable_node_dups": 16_384}, Memory(9, 8), {}, False),
        ({"stable_node_dups": 16_385}, Memory(9, 8), {}, True),
        ({}, Memory(9, 8), {"numa_nodes": None}, False),
        ({"merge_across_nodes": 0}, Memory(9, 8), {"numa_nodes": 2}, False),
        ({}, Memory(9, 8), {"thp_enabled": "always"}, False),
        ({}, Memory(9, 8), {"thp_enabled": "always", "khugepaged_max_ptes_shared": 0}, False),
        ({}, Memory(9, 8), {"thp_enabled": "always", "khugepaged_max_ptes_shared": 1}, True),
        ({}, Memory(9, 8), {"thp_enabled": "madvise", "khugepaged_max_ptes_shared": 9}, False),
    ],
)
def test_where_advice_begins(
    values: dict[str, int | str], memory: Memory, host: dict[str, object], advised: bool
) -> None:
    found = replace(HOST, ksm=KsmFacts(True, 4096, NEW | values), **host)  # type: ignore[arg-type]
    advice = tuned(found, memory, ScanCost(1e-6, "measured"), Intent(cpu_share_max=0.2)).advice
    assert len(advice) == advised


@given(
    sleep=st.one_of(st.integers(0, 40), st.integers(0, (1 << 32) - 1)),
    pages=st.one_of(st.integers(1, 200), st.integers(1, 10**8)),
    advisor=st.sampled_from([None, "none", "scan-time"]),
)
def test_a_calmer_ksmd_takes_less(sleep: int, pages: int, advisor: str | None) -> None:
    command = calmer(sleep, pages, advisor)
    if command is None:
        assert sleep >= 20 and pages <= 100
        return
    settings = dict(word.split("=") for word in command.split()[4:])
    # As the kernel does it (mm/ksm.c: advisor_mode_store(), set_advisor_defaults()).
    after = 100 if settings.get("advisor_mode") == "none" else pages
    assert advisor in (None, "none") or after == 100, "the advisor refuses another rate"
    after = int(settings.get("pages_to_scan", after))
    pause = int(settings.get("sleep_millisecs", sleep))
    # Pages by pause, from which follow its share of a core and its rate whatever a page costs.
    assert after <= pages and pause >= sleep and (after, pause) != (pages, sleep)
    assert not whole_core(pause, after)
