"""Conclusions of the monitor: conditions, alerts that begin and end once, schedule."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schemas import PEAKS

from ksmrun.facts.memory_groups import memory_groups, memory_path
from ksmrun.host.map_peaks import remember_all, remembered
from ksmrun.model.errors import KsmrunError
from ksmrun.model.launch import MapPeak
from ksmrun.model.memory_group import GroupState
from ksmrun.model.watch import (
    Condition,
    MapCount,
    WatchState,
)
from ksmrun.options.monitor import Auto
from ksmrun.watch.alerts import AlertBook
from ksmrun.watch.conditions import conditions
from ksmrun.watch.config import Config, load
from ksmrun.watch.schedule import DELAY_SECONDS_MAX, counted, next_count_seconds, seconds_to

from .test_conditions import GIB, HOST, LIMIT, MIB, WHO, of_process


def test_an_alert_begins_and_ends_once() -> None:
    book = AlertBook()
    seen = []
    # 53,000 of 52,424 allowed; then in between; then well below; then gone.
    for maps in (900, 53_000, 53_100, 51_000, 53_000, 40_000, 40_000, 60_000):
        state = WatchState(HOST, (of_process(count=MapCount(maps, 0.0, 0.0)),))
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
    """Return (is_bad, is_clear) over time; never both are true."""
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
    """At that speed, or the assumed one, the reserve is not reached before the next count."""
    delay = next_count_seconds(MapCount(maps, 0.0, speed), reserve_at, interval)
    assert interval <= delay <= max(DELAY_SECONDS_MAX, interval)
    if delay > interval:
        assert maps + delay * max(speed, 100) <= reserve_at


def test_trend() -> None:
    first = counted(None, 100, 10.0)
    leap = counted(first, 300, 20.0)
    assert seconds_to(1300, first) is None
    assert seconds_to(1300, leap) is None, "all of it may have come at once"
    goes_on = counted(leap, 450, 30.0)
    assert goes_on.per_second == pytest.approx(15.0)
    assert seconds_to(1050, goes_on) == pytest.approx(40.0)
    # It shrinks, and the clock stands still.
    assert counted(goes_on, 0, 40.0).per_second == 0.0
    assert counted(goes_on, 500, 30.0).per_second == 0.0


@given(
    st.lists(st.integers(0, 2 * LIMIT), min_size=1, max_size=8),
    st.integers(0, 2 * LIMIT),
    st.floats(1, 600),
)
def test_a_leap_is_no_trend(before: list[int], maps: int, seconds: float) -> None:
    """Whatever came before: after a leap and two equal counts nothing is predicted."""
    count, now = None, 0.0
    for each in (*before, maps, maps):
        now += seconds
        count = counted(count, each, now)
    assert count is not None and seconds_to(LIMIT, count) is None


@given(st.integers(0, 1000), st.floats(0.5, 500), st.floats(1, 600))
def test_what_grows_steadily_has_a_trend_from_the_third_count_on(
    maps: int, speed: float, seconds: float
) -> None:
    count = None
    for number in range(3):
        count = counted(count, maps + int(number * seconds * speed), number * seconds)
    assert count is not None
    assert count.per_second == pytest.approx(speed, abs=2 / seconds)


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
    file = str(tmp_path / "sys/fs/cgroup/a.slice/memory.max")
    assert found == (GroupState("/a.slice", 4 * GIB, GIB + 512 * MIB, 111, file, "a.slice"),)
    assert memory_path("0::/a.slice/b.service\n") == "/a.slice/b.service"
    assert memory_path("4:memory:/docker/x\n2:cpu:/y\n0::/\n") == "/docker/x"


USERS = "user.slice/user-1000.slice/user@1000.service"


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("system.slice/nginx.service", "nginx.service"),
        ("user.slice/user-1000.slice", "user-1000.slice"),
        (USERS, "user@1000.service"),
        # The user's manager sets it, and the system's does not know the unit.
        (f"{USERS}/app.slice/game.service", None),
        (f"{USERS}/app.slice", None),
        # Delegated: what the unit has made below itself.
        ("system.slice/box.service/payload", None),
        ("system.slice/box.service/inner.service", None),
        # systemd escapes names of the kernel's own files (cg_escape() in its cgroup-util.c).
        ("_memory.service", "memory.service"),
        ("docker/0123", None),
    ],
)
def test_who_sets_the_limit_of_a_cgroup(tmp_path: Path, path: str, unit: str | None) -> None:
    cgroup(tmp_path, path, memory__max=4 * GIB, memory__current=3 * GIB)
    (found,) = memory_groups({f"/{path}": 5 * GIB}, tmp_path)
    assert found.unit == unit
    file = f"{tmp_path}/sys/fs/cgroup/{path}/memory.max"
    expected = f"echo 8192M | sudo tee {shlex.quote(file)}"
    if unit is not None:
        expected = f"sudo systemctl set-property --runtime {unit} MemoryMax=8192M"
    assert found.raising == expected


def test_the_limit_file_of_version_1(tmp_path: Path) -> None:
    files = {"memory__limit_in_bytes": 4 * GIB, "memory__usage_in_bytes": 3 * GIB}
    cgroup(tmp_path, "memory/box", **files)
    (found,) = memory_groups({"/box": 2 * GIB}, tmp_path)
    assert found.raising.endswith("/sys/fs/cgroup/memory/box/memory.limit_in_bytes")


@given(limit=st.integers(1, 1 << 50), free=st.integers(0, 1 << 50), merged=st.integers(0, 1 << 50))
def test_a_raised_limit_is_enough(limit: int, free: int, merged: int) -> None:
    free = min(free, limit)
    group = GroupState("/x", limit, free, merged, "/sys/fs/cgroup/x/memory.max")
    number = re.match(r"echo (\d+)M ", group.raising)
    assert number is not None
    assert free + int(number[1]) * MIB - limit >= merged


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


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_configuration_that_others_can_write(write: Any, mode: int) -> None:
    """It names commands, which the monitor runs as its own user."""
    file = write("[monitor]\nby_pid = true\n")
    file.chmod(mode)
    with pytest.raises(KsmrunError, match="can be written by others") as error:
        load(file, {})
    assert f"chmod go-w {file}" in error.value.todo


def test_options_that_need_auto() -> None:
    given = Config(auto_max_cpu=0.2, idle=True, interval_seconds=1.0)
    assert given.without_auto == ("--idle", "--max-cpu")
    assert Config(auto=Auto.ALWAYS, auto_max_cpu=0.2).without_auto == Config().without_auto == ()


def test_configuration(write: Any) -> None:
    file = write("[monitor]\ninterval_seconds = 5\nlog = 'json'\nby_pid = true\n")
    found = load(file, {"interval_seconds": None, "log": "plain"})
    assert (found.interval_seconds, found.log, found.by_pid) == (5.0, "plain", True)
    assert load(None, {}) == Config() or Path("/etc/ksmrun/config.toml").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[monitor]\nmap_reserve = -0.1",
            "map_reserve = -0.1 is not valid; give a share from 0% to 99%",
        ),
        ("[monitor]\nmap_reserve = '110%'", "map_reserve = '110%' is not valid; give a share"),
        ("[monitor]\nintervall = 5", "there is no key 'intervall'; did you mean interval"),
        ("[monitor]\ninterval = 5\ninterval_seconds = 6", "interval is there twice"),
        (
            "[monitor]\ninterval = nan",
            "interval = nan is not valid; give a time in seconds from 0.1 to 3600",
        ),
        (
            "[monitor]\ninterval = true",
            "interval = True is not valid; give a time in seconds from 0.1",
        ),
        ("[monitor]\nby_pid = 1", "by_pid = 1 is not valid; give on or off"),
        ("[monitor]\nlog = 'xml'", "log = 'xml' is not valid; give plain or json"),
        ("[monitor]\nlisten = 3", "listen = 3 is not valid; give a text"),
        ("[moniter]\ninterval = 5", "there is no table [moniter]; the keys belong below [mon"),
        ("interval = 5", "the key 'interval' is in no table; the keys belong below [monitor]"),
        ("[monitor]\nlisten = 'nowhere'", "is not an address"),
        ("[monitor]\nlisten = '127.0.0.1:99999'", "is not an address"),
        ("monitor = 3", "monitor is not a table"),
        ("[monitor", "is not valid TOML"),
        (f"[monitor]\ninterval = {'1' * 5000}", "is not valid TOML"),
        ("[monitor]\nx = " + "[" * 5000, "is not valid TOML"),
        (f"[monitor]\ncow_breaks = {10**400}", "give a number from 1 to 1000000000"),
    ],
)
def test_wrong_configuration(write: Any, text: str, said: str) -> None:
    with pytest.raises(KsmrunError) as caught:
        load(write(text), {})
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["Infinity", "1e999", "[" * 100_000, "NaN"])
def test_peaks_that_are_damaged(tmp_path: Path, text: str) -> None:
    file = tmp_path / "peaks.json"
    file.write_text(f'{{"schema": "{PEAKS}", "peaks": {{"a": [{text}, 1]}}}}')
    with pytest.raises(KsmrunError, match=r"peaks\.json is damaged"):
        remembered(file, "a")
    with pytest.raises(KsmrunError, match=r"peaks\.json is damaged.*a new one is written"):
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
