"""What the monitor makes of what it sees: conditions, alerts that begin and end once, schedule."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.facts.memory_groups import memory_groups, memory_path
from ksmrun.host.peaks import remember_all, remembered
from ksmrun.model import KsmrunError, MapPeak
from ksmrun.model.process import Identity
from ksmrun.model.watch import (
    ALERT_KINDS,
    Condition,
    GroupState,
    HostState,
    MapCount,
    Watched,
    WatchState,
)
from ksmrun.watch.book import AlertBook
from ksmrun.watch.conditions import conditions
from ksmrun.watch.config import Config, load
from ksmrun.watch.schedule import DELAY_SECONDS_MAX, counted, next_count_seconds, seconds_to

GIB, MIB, LIMIT = 1 << 30, 1 << 20, 65530
HOST = HostState(
    seconds=1000.0,
    page_bytes=4096,
    run=1,
    pages_shared=1000,
    pages_sharing=100_000,
    zero_pages=0,
    pages_scanned=5_000_000,
    full_scans=50,
    profit_bytes=300 * MIB,
    ksmd_cpu_seconds=10.0,
    cow_breaks=0,
    mem_total_bytes=16 * GIB,
    mem_available_bytes=8 * GIB,
    swap_free_bytes=0,
    max_map_count=LIMIT,
)
WHO = Identity(
    *(4242, 77, "server", "./server --port 1", "/srv/server", 0, "root"),
    *("game.service", None, None, None, None),
)
PROCESS = Watched(
    *(WHO, "prctl", 1000, 0, 2000, 3 * MIB, 10, "/srv/server", 20 * MIB),
    MapCount(900, 990.0, 0.0),
)


def of_host(**changes: Any) -> HostState:
    return dataclasses.replace(HOST, **changes)


def of_process(**changes: Any) -> Watched:
    return dataclasses.replace(PROCESS, **changes)


def series(*hosts: HostState, process: Watched = PROCESS) -> list[WatchState]:
    """Samples 15 s apart; ksmd scans in each unless the host says otherwise."""
    return [
        WatchState(
            dataclasses.replace(
                host,
                seconds=1000.0 + 15 * number,
                pages_scanned=(host.pages_scanned or 0) + number
                if host.pages_scanned == HOST.pages_scanned
                else host.pages_scanned,
            ),
            (process,),
        )
        for number, host in enumerate(hosts)
    ]


def bad(states: Sequence[WatchState], **config: Any) -> list[Condition]:
    return [each for each in conditions(states, Config(**config)) if each.is_bad]


def kinds(states: Sequence[WatchState], **config: Any) -> list[str]:
    return [each.kind for each in bad(states, **config)]


def test_nothing_is_bad() -> None:
    assert kinds(series(*[HOST] * 6)) == []


def test_every_kind_is_known() -> None:
    told = {each.kind for each in conditions(series(*[HOST] * 2), Config())}
    assert told == set(ALERT_KINDS)


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (MapCount(52_425, 0.0, 0.0), "has 52425 maps of 65530"),
        (MapCount(30_000, 0.0, 100.0), "and reaches it in 6 min if it goes on so"),
    ],
)
def test_map_headroom(count: MapCount, said: str) -> None:
    (found,) = bad(series(HOST, process=of_process(maps=count)))
    assert found.kind == "map-headroom"
    assert said in found.what and "PID 4242 (server, game.service)" in found.what
    assert int(found.facts["wanted"]) > count.maps / 0.8


@given(st.integers(52_425, 1 << 24), st.sampled_from([0.0, 0.2, 0.5, 0.9]))
def test_the_limit_that_is_wanted_ends_the_alert(maps: int, reserve: float) -> None:
    def headroom(limit: int) -> Condition:
        states = series(of_host(max_map_count=limit), process=process)
        found = conditions(states, Config(map_reserve=reserve))
        return next(each for each in found if each.kind == "map-headroom")

    process = of_process(maps=MapCount(maps, 0.0, 0.0))
    enough = int(headroom(LIMIT).facts["wanted"])
    assert headroom(enough).is_clear and not headroom(enough).is_bad


@pytest.mark.parametrize(
    "count",
    [
        MapCount(52_000, 0.0, 0.0),
        MapCount(30_000, 0.0, 1.0),
        # Fast, but only starting.
        MapCount(2_000, 0.0, 1000.0),
    ],
)
def test_enough_headroom(count: MapCount) -> None:
    assert kinds(series(HOST, process=of_process(maps=count))) == []


def test_a_limit_changed_while_running() -> None:
    process = of_process(maps=MapCount(60_000, 0.0, 0.0))
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
    group = GroupState("/game.slice", 4 * GIB, GIB, 2 * GIB)
    state = WatchState(HOST, (PROCESS,), (group,))
    (found,) = bad([state])
    assert found.subject == "/game.slice"


def test_memory_that_comes_back() -> None:
    before = of_host(pages_sharing=4 * GIB // 4096)
    after = of_host(pages_sharing=2 * GIB // 4096, mem_available_bytes=6 * GIB)
    assert kinds(series(before, after)) == ["memory-comes-back"]
    ended = of_host(pages_sharing=2 * GIB // 4096, mem_available_bytes=9 * GIB)
    assert kinds(series(before, ended)) == [], "copies that end give memory back"


def test_an_alert_begins_and_ends_once() -> None:
    book = AlertBook()
    seen = []
    # 53,000 of 52,424 allowed; then in between; then well below; then gone.
    for maps in (900, 53_000, 53_100, 51_000, 53_000, 40_000, 40_000, 60_000):
        state = WatchState(HOST, (of_process(maps=MapCount(maps, 0.0, 0.0)),))
        events = book.update(conditions([state], Config()))
        seen.append([event.raised for event in events])
    assert seen == [[], [True], [], [], [], [False], [], [True]]
    assert book.raised_total["map-headroom"] == 2
    (event,) = book.update(conditions([WatchState(HOST, ())], Config()))
    assert not event.raised and book.standing == ()


def test_a_reused_pid_is_another() -> None:
    book = AlertBook()
    first = of_process(enabled_by=None)
    again = of_process(enabled_by=None, identity=dataclasses.replace(WHO, start_ticks=99))
    assert len(book.update(conditions([WatchState(HOST, (first,))], Config()))) == 1
    events = book.update(conditions([WatchState(HOST, (again,))], Config()))
    assert sorted(event.raised for event in events) == [False, True]


@st.composite
def standing(draw: st.DrawFn) -> list[tuple[bool, bool]]:
    """(is_bad, is_clear) over time; never both."""
    return draw(
        st.lists(st.sampled_from([(True, False), (False, True), (False, False)]), max_size=40)
    )


@given(standing())
def test_alerts_alternate(times: list[tuple[bool, bool]]) -> None:
    book, raised = AlertBook(), []
    for is_bad, is_clear in times:
        condition = Condition("ksmd-off", "", "ksmd", is_bad, is_clear, "what", "todo")
        raised += [event.raised for event in book.update([condition])]
    assert all(raised[i] == (i % 2 == 0) for i in range(len(raised)))
    assert bool(book.standing) == (len(raised) % 2 == 1)


@given(st.integers(0, LIMIT), st.floats(0, 5000), st.floats(1, 60), st.floats(0.5 * LIMIT, LIMIT))
def test_counts_come_in_time(maps: int, speed: float, interval: float, reserve_at: float) -> None:
    """At that speed, or what is feared, the reserve is not reached before the next count."""
    delay = next_count_seconds(MapCount(maps, 0.0, speed), reserve_at, interval)
    assert interval <= delay <= max(DELAY_SECONDS_MAX, interval)
    if delay > interval:
        assert maps + delay * max(speed, 100) <= reserve_at


def test_trend() -> None:
    first = counted(None, 100, 10.0)
    second = counted(first, 300, 20.0)
    assert second.per_second == pytest.approx(10.0)
    assert seconds_to(1300, second) == pytest.approx(100.0)
    # It shrinks, and the clock does not go on.
    assert counted(second, 0, 30.0).per_second == 0.0
    assert counted(second, 500, 20.0).per_second == 0.0
    assert seconds_to(1300, first) is None


def cgroup(root: Path, path: str, **files: object) -> None:
    folder = root / "sys/fs/cgroup" / path
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def test_limited_cgroups(tmp_path: Path) -> None:
    cgroup(tmp_path, "a.slice", memory__max=4 * GIB, memory__current=3 * GIB)
    cgroup(tmp_path, "a.slice/b.service", memory__max="max", memory__current=2 * GIB)
    (tmp_path / "sys/fs/cgroup/a.slice/memory.stat").write_text(
        f"anon 5\ninactive_file {512 * MIB}\n"
    )
    found = memory_groups({"/a.slice/b.service": 100, "/a.slice": 11, "/c": 7}, tmp_path)
    assert found == (GroupState("/a.slice", 4 * GIB, GIB + 512 * MIB, 111),)
    assert memory_path("0::/a.slice/b.service\n") == "/a.slice/b.service"
    assert memory_path("4:memory:/docker/x\n2:cpu:/y\n0::/\n") == "/docker/x"


PEAK = MapPeak("here", 5, 1)


def test_peaks_are_kept_and_bounded(tmp_path: Path) -> None:
    file = tmp_path / "peaks.json"
    remember_all(file, {f"/bin/{number}": MapPeak("", number, None) for number in range(1200)})
    remember_all(file, {"/bin/1199": MapPeak("", 5, None), "/bin/new": MapPeak("", 6, None)})
    known = {name: remembered(file, name) for name in ("/bin/1199", "/bin/new", "/bin/0")}
    assert [each and each.maps for each in known.values()] == [1199, 6, None]
    assert [each.name for each in tmp_path.iterdir()] == ["peaks.json"]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Any]:
    file = tmp_path / "config.toml"

    def put(text: str) -> Path:
        file.write_text(text)
        return file

    yield put


def test_configuration(write: Any) -> None:
    file = write("[monitor]\ninterval_seconds = 5\nlog = 'json'\nby_pid = true\n[other]\nx = 1\n")
    found = load(file, {"interval_seconds": None, "log": "plain"})
    assert (found.interval_seconds, found.log, found.by_pid) == (5.0, "plain", True)
    assert load(None, {}) == Config() or Path("/etc/ksmrun/config.toml").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[monitor]\nmap_reserve = -0.1", "map_reserve = -0.1 is out of range"),
        ("[monitor]\nmap_reserve = 1.1", "out of range; from 0 to 0.99"),
        ("[monitor]\ninterval = 5", "there is no interval; there are"),
        ("[monitor]\ninterval_seconds = '5'", "is no float"),
        ("[monitor]\nby_pid = 1", "is no bool"),
        ("[monitor]\nlog = 'xml'", "plain or json"),
        ("[monitor]\nlisten = 'nowhere'", "is no address"),
        ("[monitor]\nlisten = '127.0.0.1:99999'", "is no address"),
        ("monitor = 3", "monitor is no table"),
        ("[monitor", "is no TOML"),
    ],
)
def test_wrong_configuration(write: Any, text: str, said: str) -> None:
    with pytest.raises(KsmrunError) as caught:
        load(write(text), {})
    assert said in str(caught.value)


def test_speeds_of_samples_that_lie_close_together() -> None:
    """As after SIGHUP: 100 pages copied back in 5 ms are no surge, and ksmd at rest no starving."""

    def at(seconds: float, **changes: Any) -> WatchState:
        return WatchState(of_host(seconds=seconds, **changes), (PROCESS,))

    close = [at(1000 + number * 0.005, cow_breaks=100 * number) for number in range(5)]
    assert kinds(close) == []
    assert "cow-surge" in kinds([at(990.0, cow_breaks=0), at(1000.0, cow_breaks=60_000)])


@pytest.mark.parametrize(("sleep_millisecs", "is_starved"), [(20, True), (60_000, False)])
def test_ksmd_that_is_told_to_sleep(sleep_millisecs: int, is_starved: bool) -> None:
    host = of_host(pages_scanned=7, sleep_millisecs=sleep_millisecs)
    assert ("ksmd-starved" in kinds(series(*[host] * 6))) == is_starved


@pytest.mark.parametrize("text", ["Infinity", "1e999", "[" * 100_000, "NaN"])
def test_peaks_that_are_damaged(tmp_path: Path, text: str) -> None:
    file = tmp_path / "peaks.json"
    file.write_text(f'{{"schema": "ksmrun-peaks-1", "peaks": {{"a": [{text}, 1]}}}}')
    with pytest.raises(KsmrunError, match=r"peaks\.json is damaged"):
        remembered(file, "a")
    with pytest.raises(KsmrunError, match=r"peaks\.json is damaged.*begun anew"):
        remember_all(file, {"a": PEAK})
    peak = remembered(file, "a")
    assert peak is not None and peak.maps == 5


def test_peaks_where_a_kill_left_half_a_file(tmp_path: Path) -> None:
    left, young = (tmp_path / f".peaks.json.{number}.new" for number in "12")
    left.write_text('{"schema')
    os.utime(left, (1, 1))
    young.write_text("of another process, which still writes")
    remember_all(tmp_path / "peaks.json", {"a": PEAK})
    assert sorted(each.name for each in tmp_path.iterdir()) == [young.name, "peaks.json"]
