"""Conclusions from what the monitor sees: what is going wrong, or soon will."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.model.ksm import KsmFacts
from ksmrun.model.memory_group import GroupState
from ksmrun.model.process import Identity
from ksmrun.model.trust import Member, Merger, Traits
from ksmrun.model.watch import (
    ALERT_KINDS,
    Condition,
    HostState,
    MapCount,
    TrustView,
    Watched,
    WatchState,
)
from ksmrun.watch.conditions import conditions
from ksmrun.watch.config import Config

GIB, MIB, LIMIT = 1 << 30, 1 << 20, 65530
HOST = HostState(
    seconds=1000.0,
    ksm=KsmFacts(
        present=True,
        page_bytes=4096,
        values={
            **{"run": 1, "pages_shared": 1000, "pages_sharing": 100_000, "ksm_zero_pages": 0},
            **{"pages_scanned": 5_000_000, "full_scans": 50, "general_profit": 300 * MIB},
        },
    ),
    ksmd_cpu_seconds=10.0,
    cow_breaks=0,
    mem_total_bytes=16 * GIB,
    mem_available_bytes=8 * GIB,
    swap_free_bytes=0,
    max_map_count=LIMIT,
)
OWN = {field.name for field in dataclasses.fields(HostState)}
WHO = Identity(
    *(4242, 77, "server", "./server --port 1", "/srv/server", 0, "root"),
    *("game.service", None, None, None, None),
)
PROCESS = Watched(
    *(WHO, "prctl", 1000, 0, 2000, 3 * MIB),
    since_full_scans=10,
    program="/srv/server",
    pss_bytes=20 * MIB,
    maps=900,
    count=MapCount(900, 990.0, 0.0),
)


def of_host(**changes: Any) -> HostState:
    """Return the host with other values of its own, or of KSM."""
    own = {name: changes.pop(name) for name in {*changes} & OWN}
    page_bytes = changes.pop("page_bytes", 4096)
    ksm = KsmFacts(present=True, page_bytes=page_bytes, values={**HOST.ksm.values, **changes})
    return dataclasses.replace(HOST, ksm=ksm, **own)


def of_process(**changes: Any) -> Watched:
    return dataclasses.replace(PROCESS, **changes)


def series(*hosts: HostState, process: Watched = PROCESS) -> list[WatchState]:
    """Return samples 15 s apart, in each of which ksmd scans, unless the host says otherwise."""
    return [
        WatchState(
            dataclasses.replace(
                host,
                seconds=1000.0 + 15 * number,
                ksm=_scanned(host.ksm, number),
            ),
            (process,),
        )
        for number, host in enumerate(hosts)
    ]


def _scanned(ksm: KsmFacts, number: int) -> KsmFacts:
    scanned = HOST.ksm.pages_scanned or 0
    if ksm.pages_scanned != scanned:
        return ksm
    return dataclasses.replace(ksm, values={**ksm.values, "pages_scanned": scanned + number})


def bad(states: Sequence[WatchState], **config: Any) -> list[Condition]:
    return [each for each in conditions(states, Config(**config)) if each.is_bad]


def kinds(states: Sequence[WatchState], **config: Any) -> list[str]:
    return [each.kind for each in bad(states, **config)]


def test_nothing_is_bad() -> None:
    assert kinds(series(*[HOST] * 6)) == []


def test_every_kind_is_known() -> None:
    # The others are told while they do not stand, too.
    foreign = Member(Merger(7, 7, "x", Traits(), "prctl"), ())
    *before, now = series(*[HOST] * 2)
    now = dataclasses.replace(now, trust=TrustView((), (foreign,), None))
    told = {each.kind for each in conditions([*before, now], Config())}
    assert told == set(ALERT_KINDS)


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (MapCount(52_425, 0.0, 0.0), "has 52425 maps of 65530"),
        (MapCount(30_000, 0.0, 100.0), "and reaches that limit in 6 min at this rate"),
    ],
)
def test_map_headroom(count: MapCount, said: str) -> None:
    (found,) = bad(series(HOST, process=of_process(count=count)))
    assert found.kind == "map-headroom"
    assert said in found.what and "PID 4242 (server, game.service)" in found.what
    assert int(found.facts["wanted"]) > count.maps / 0.8


@given(st.integers(52_425, 1 << 24), st.sampled_from([0.0, 0.2, 0.5, 0.9]))
def test_the_limit_that_is_wanted_ends_the_alert(maps: int, reserve: float) -> None:
    def headroom(limit: int) -> Condition:
        states = series(of_host(max_map_count=limit), process=process)
        found = conditions(states, Config(map_reserve=reserve))
        return next(each for each in found if each.kind == "map-headroom")

    process = of_process(count=MapCount(maps, 0.0, 0.0))
    enough = int(headroom(LIMIT).facts["wanted"])
    assert headroom(enough).is_clear and not headroom(enough).is_bad


@pytest.mark.parametrize(
    "count",
    [
        MapCount(52_000, 0.0, 0.0),
        MapCount(30_000, 0.0, 1.0),
        # Growing fast, but only starting.
        MapCount(2_000, 0.0, 1000.0),
    ],
)
def test_enough_headroom(count: MapCount) -> None:
    assert kinds(series(HOST, process=of_process(count=count))) == []


def test_a_limit_changed_while_running() -> None:
    process = of_process(count=MapCount(60_000, 0.0, 0.0))
    assert kinds(series(HOST, process=process)) == ["map-headroom"]
    assert kinds(series(of_host(max_map_count=131_072), process=process)) == []


def test_ksmd_off() -> None:
    off = of_host(run=0)
    (found,) = bad(series(off))
    assert (found.kind, found.todo) == ("ksmd-off", "sudo ksmrun host on")
    assert kinds([WatchState(off, ())]) == [], "nothing waits for it"
    assert kinds(series(of_host(run=None))) == [], "a kernel without it"


@pytest.mark.parametrize("before_6_7", [False, True])
def test_ksmd_starved(before_6_7: bool) -> None:
    host = of_host(pages_scanned=None if before_6_7 else 7)
    assert kinds(series(host, host, host)) == []
    assert kinds(series(*[host] * 4)) == ["ksmd-starved"]
    idle = [WatchState(state.host, ()) for state in series(*[host] * 4)]
    assert kinds(idle) == [], "nothing to scan"


def test_ksmd_busy() -> None:
    busy = [of_host(ksmd_cpu_seconds=10 + 14.9 * number) for number in range(5)]
    assert kinds(series(*busy)) == ["ksmd-busy"]
    assert kinds(series(*busy[:4])) == [], "not long enough"
    assert kinds(series(*busy, busy[-1])) == []


def test_flag_lost() -> None:
    (found,) = bad(series(HOST, process=of_process(enabled_by=None)))
    assert found.kind == "flag-lost"


def test_costs_more() -> None:
    loses = of_process(profit_bytes=-2 * MIB)
    assert kinds(series(HOST, process=loses)) == ["costs-more"]
    new = of_process(profit_bytes=-2 * MIB, since_full_scans=48)
    assert kinds(series(HOST, process=new)) == [], "not looked at in full yet"
    assert kinds(series(HOST, process=of_process(profit_bytes=-1000))) == []
    boosts = [dataclasses.replace(state, boosts=True) for state in series(HOST, process=loses)]
    assert kinds(boosts) == [], "ksmd has only just begun"


def test_cow_surge() -> None:
    assert kinds(series(HOST, of_host(cow_breaks=15 * 4000))) == []
    assert kinds(series(HOST, of_host(cow_breaks=15 * 6000))) == ["cow-surge"]
    assert kinds(series(HOST, of_host(cow_breaks=15 * 4000)), cow_breaks_per_second=3000) == [
        "cow-surge"
    ]


def test_memory_that_could_come_back() -> None:
    merged = of_host(pages_sharing=3 * GIB // 4096, mem_available_bytes=2 * GIB)
    (found,) = bad(series(merged))
    assert found.kind == "memory-could-come-back"
    assert "3072 MiB are merged, and only 2048 MiB are free" in found.what
    assert kinds(series(dataclasses.replace(merged, swap_free_bytes=2 * GIB))) == []
    group = GroupState("/game.slice", 4 * GIB, GIB, 2 * GIB, "/x", "game.slice")
    state = WatchState(HOST, (PROCESS,), (group,))
    (found,) = bad([state])
    assert found.subject == "/game.slice"


def test_memory_that_comes_back() -> None:
    before = of_host(pages_sharing=4 * GIB // 4096)
    after = of_host(pages_sharing=2 * GIB // 4096, mem_available_bytes=6 * GIB)
    assert kinds(series(before, after)) == ["memory-comes-back"]
    ended = of_host(pages_sharing=2 * GIB // 4096, mem_available_bytes=9 * GIB)
    assert kinds(series(before, ended)) == [], "copies that end give memory back"


def test_speeds_of_samples_that_lie_close_together() -> None:
    """After SIGHUP, 100 pages copied in 5 ms are no surge, and idle ksmd is not starved."""

    def at(seconds: float, **changes: Any) -> WatchState:
        return WatchState(of_host(seconds=seconds, **changes), (PROCESS,))

    close = [at(1000 + number * 0.005, cow_breaks=100 * number) for number in range(5)]
    assert kinds(close) == []
    assert "cow-surge" in kinds([at(990.0, cow_breaks=0), at(1000.0, cow_breaks=60_000)])


@pytest.mark.parametrize(("sleep_millisecs", "is_starved"), [(20, True), (60_000, False)])
def test_ksmd_that_is_told_to_sleep(sleep_millisecs: int, is_starved: bool) -> None:
    host = of_host(pages_scanned=7, sleep_millisecs=sleep_millisecs)
    assert ("ksmd-starved" in kinds(series(*[host] * 6))) == is_starved
