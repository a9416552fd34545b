"""What `ksmrun status` makes of a host."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.cli import run_app
from ksmrun.commands import status as command
from ksmrun.model.ksm import HostFacts, KsmFacts, Scheduling
from ksmrun.model.launch import MapPeak
from ksmrun.model.memory_group import GroupState
from ksmrun.model.status import HostStatus, Ksmd, Merging, Monitor, Row, State, Undoable, Unread
from ksmrun.model.watch import MapCount, WatchState
from ksmrun.model.wrap import LIBEXEC, InstalledLauncher, Wrap
from ksmrun.plan.guard import judge as judge_maps
from ksmrun.plan.status import judge, worst
from ksmrun.watch.conditions import conditions
from ksmrun.watch.config import Config
from ksmrun.wrap.dropin import FINGERPRINT, fingerprint

from .test_conditions import of_host, of_process

MIB = 1 << 20
VALUES = {"run": 1, "pages_to_scan": 100, "sleep_millisecs": 20, "pages_sharing": 1000}


def host(available: int = 1 << 30, **values: Any) -> HostFacts:
    facts = dict.fromkeys(HostFacts.__dataclass_fields__)
    ksm = KsmFacts(present=True, page_bytes=4096, values={**VALUES, **values})
    known = {"ksm": ksm, "mem_available_bytes": available, "swap_free_bytes": 0}
    return HostFacts(**{**facts, "max_map_count": 65530, **known})  # type: ignore[arg-type]


def stale(name: str, kind: str = "unit") -> Wrap:
    return Wrap(Path(f"/x/{name}.d/zz-ksmrun.conf"), kind, name, ours=True, libexec=LIBEXEC)


FINE = HostStatus(
    host=host(),
    setters=("set by `ksmrun host`",),
    merging=(Merging(5, "game", 9 * MIB, 40), Merging(6, "game", 9 * MIB, 50)),
    groups=(GroupState("/system.slice/game.service", 99 * MIB, 50 * MIB, 18 * MIB, "/x"),),
    ksmd=Ksmd(0.1, 0.03, 0.0, 500),
    monitor=Monitor(77, True, ()),
    wrapped=2,
    records=(Undoable(("run",), left=False),),
)


FAST = {"host": host(pages_to_scan=2000)}


def row(seen: HostStatus, name: str) -> Row:
    (found,) = [each for each in judge(seen) if each.name == name]
    return found


def test_all_in_order() -> None:
    rows = judge(FINE)
    assert {each.state for each in rows} == {State.OK}
    assert worst(rows) is State.OK
    assert "set by `ksmrun host`" in rows[0].found
    assert row(FINE, "map limit").found.startswith("PID 6 (game): 50 of 65530")
    assert "host restore" in row(FINE, "records").found


def test_alerts_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are one line of the screen, and the others stay."""
    seen = replace(FINE, monitor=Unread("damaged", "delete it"))
    assert row(seen, "alerts") == Row("alerts", State.UNKNOWN, "damaged", "delete it")
    (tmp_path / "alerts.json").write_text("{")
    monkeypatch.setenv("KSMRUN_STATE_DIR", str(tmp_path))
    assert run_app(["status"]) == 1
    said = capsys.readouterr().out
    assert re.search(r"(?m)^\?    alerts .*alerts.json", said) and "launcher" in said, said


def test_without_proc_the_map_limit_is_unknown() -> None:
    blind = replace(FINE, host=replace(FINE.host, max_map_count=None), merging=())
    assert row(blind, "map limit").state is State.UNKNOWN


def test_one_process_is_singular() -> None:
    seen = replace(FINE, merging=FINE.merging[:1])
    assert row(seen, "flags").found == "1 process merges, none is known to have lost it"
    assert "; 1 process waits" in row(replace(seen, host=host(run=0)), "KSM").found


@pytest.mark.parametrize(
    ("name", "changed", "todo"),
    [
        ("KSM", {"host": host(run=0)}, "sudo ksmrun host on"),
        ("KSM", {"host": host(run=2)}, "sudo ksmrun host on"),
        ("memory", {"host": host(available=3 * MIB)}, "sudo ksmrun ps --sort merged"),
        (
            "cgroup",
            {"groups": (GroupState("/", 9 * MIB, MIB, 2 * MIB, "/sys/fs/cgroup/memory.max"),)},
            "docker update --memory=10m",
        ),
        (
            "cgroup",
            {"groups": (*FINE.groups, GroupState("/x/y z", 9 * MIB, MIB, 2 * MIB, "/x/y z/max"))},
            "echo 10M | sudo tee '/x/y z/max'",
        ),
        ("ksmd", {"ksmd": Ksmd(0.1, 0.97, 0.0, 500), **FAST}, "host set pages_to_scan=100"),
        ("ksmd", {"ksmd": Ksmd(0.1, 0.3, 0.65, 500), **FAST}, "host set pages_to_scan=100"),
        # The default is no reason for either.
        ("ksmd", {"ksmd": Ksmd(0.1, 0.97, 0.0, 500)}, "see what else takes the CPU"),
        ("ksmd", {"ksmd": Ksmd(0.1, 0.3, 0.65, 500)}, "see what else takes the CPU"),
        ("ksmd", {"ksmd": Ksmd(0.1, 0.0, 0.0, 0)}, "ksmrun host show"),
        ("map limit", {"merging": (Merging(5, "x", 0, 60000),)}, "host max-map-count 131072"),
        ("flags", {"lost": ((9, "game"), (10, "game"))}, "sudo ksmrun explain 9"),
        ("layout", {"keyless": (5, 6)}, "start the programs of the group again"),
        ("alerts", {"monitor": Monitor(7, True, (("k", "it", "do it"),))}, "do it"),
        ("alerts", {"monitor": Monitor(7, False, ())}, "restart ksmrun-monitor"),
        ("launcher", {"launchers": ("nginx.service",)}, "sudo ksmrun wrap install"),
        (
            "launcher",
            {"launcher": InstalledLauncher("/x/ksmrun-exec", "0.0.1", is_current=False)},
            "sudo ksmrun wrap install",
        ),
        ("launcher", {"launcher": Unread("/x does not run", "do it")}, "do it"),
        ("wraps", {"stale": (stale("nginx.service"),)}, "sudo ksmrun wrap unit --now nginx.serv"),
        (
            "wraps",
            {"stale": (stale("game.service", "user unit"),)},
            "as the owner of /x/game.service.d/zz-ksmrun.conf: ksmrun wrap unit --user --now game",
        ),
        ("records", {"records": (Undoable(("run",), left=True),)}, "sudo ksmrun host restore"),
    ],
)
def test_what_is_wrong_has_one_thing_to_do(name: str, changed: dict[str, Any], todo: str) -> None:
    rows = judge(replace(FINE, **changed))
    bad = [each for each in rows if each.state is not State.OK]
    assert [each.name for each in bad] == [name]
    assert bad[0].state is State.TODO
    assert todo in bad[0].todo
    assert worst(rows) is State.TODO


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("access", {"unreadable": 3}),
        ("access", {"hidepid": True}),
        ("memory", {"host": replace(host(), mem_available_bytes=None)}),
        ("map limit", {"merging": (Merging(5, "x", 0, None),)}),
        ("records", {"records": Unread("host.json is damaged", "delete it")}),
        ("records", {"records": (Undoable(("run",), left=None),)}),
        ("alerts", {"monitor": Unread("alerts.json is damaged", "delete it")}),
    ],
)
def test_what_cannot_be_seen_is_not_in_order(name: str, changed: dict[str, Any]) -> None:
    rows = judge(replace(FINE, **changed))
    (one,) = [each for each in rows if each.state is not State.OK]
    assert one.name == name
    assert worst(rows) is State.UNKNOWN
    # What changes nothing that is in order: nothing here says that something is not.
    assert "host restore" not in one.todo
    unread = [each for each in changed.values() if isinstance(each, Unread)]
    assert (one.found, one.todo) in [(each.what, each.todo) for each in unread] or not unread


def test_a_hidden_monitor_has_not_ended() -> None:
    seen = replace(FINE, hidepid=True, monitor=Monitor(7, False, ()))
    assert row(seen, "alerts").state is State.UNKNOWN


@given(st.integers(1, 1 << 24), st.integers(1, 1 << 24))
def test_launch_monitor_and_status_agree_on_the_map_limit(maps: int, limit: int) -> None:
    seen = replace(
        FINE, host=replace(FINE.host, max_map_count=limit), merging=(Merging(5, "x", 0, maps),)
    )
    fits = judge_maps([MapPeak("seen", maps, None)], limit, 0.2, vmas_merge=True).verdict == "fits"
    assert (row(seen, "map limit").state is State.OK) == fits
    watched = of_process(count=MapCount(maps, 0.0, 0.0))
    states = [WatchState(of_host(max_map_count=limit), (watched,))]
    (alert,) = (each for each in conditions(states, Config()) if each.kind == "map-headroom")
    assert alert.is_bad == (not fits)


def test_a_changed_unit_of_a_user(tmp_path: Path) -> None:
    folder = tmp_path / ".config/systemd/user"
    drop_in = folder / "game.service.d/zz-ksmrun.conf"
    drop_in.parent.mkdir(parents=True)
    (folder / "game.service").write_text("[Service]\nExecStart=/bin/game --port 1\n")
    drop_in.write_text(f"{FINGERPRINT}{fingerprint(['/bin/game --port 1'])}\n[Service]\n")
    wrap = Wrap(drop_in, "user unit", "game.service", ours=True, libexec=LIBEXEC)
    assert not command.is_stale(wrap)
    (drop_in.parent / "a.conf").write_text("[Service]\nExecStart=\nExecStart=/bin/game --port 2\n")
    assert command.is_stale(wrap)
    (folder / "game.service").unlink()
    assert not command.is_stale(wrap), "nothing is known of it"


def test_off_is_in_order_where_nothing_waits() -> None:
    seen = HostStatus(host=host(run=0))
    assert worst(judge(seen)) is State.OK
    assert row(seen, "ksmd").found == "idle, as KSM is off"


# The longest that a kernel, a unit or a cgroup calls things in practice.
WORST = HostStatus(
    host=host(available=3 * MIB, run=1, sleep_millisecs=0, pages_to_scan=1000000),
    setters=("`ksmrun monitor --auto` (PID 1234567) sets its rate",),
    merging=tuple(Merging(1234567 + i, "a-long-name-123", MIB, 60000) for i in range(3)),
    groups=(
        GroupState(
            *("/system.slice/a-game-server@one.service", 9 * MIB, MIB, 2 * MIB, "/x"),
            "a-game-server@one.service",
        ),
    ),
    ksmd=Ksmd(0.1, 0.5, 0.5, 500),
    lost=((1234567, "a-long-name-123"),) * 2,
    keyless=(1234567, 1234568),
    monitor=Monitor(1234567, True, (("ksmd-off", "ksmd is off", "sudo ksmrun host on"),) * 2),
    launchers=("a-game-server@one.service",) * 2,
    stale=(stale("a-game-server@one.service"),) * 2,
    records=(Undoable(("run", "pages_to_scan"), left=True),),
)


def test_the_worst_night_fits_on_a_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows = judge(WORST)
    assert sum(each.state is State.TODO for each in rows) == 10
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        command.show(rows)
    lines = text.getvalue().splitlines()
    assert len(lines) <= 24
    # A command that is longer is not broken, so that it can be copied.
    assert all(len(line) <= 80 for line in lines if "to do:" not in line), text.getvalue()
    for each in rows:
        assert f"to do: {each.todo}" in text.getvalue() or each.state is State.OK


@given(
    st.builds(
        replace,
        st.just(FINE),
        host=st.builds(
            host,
            available=st.integers(0, 1 << 40),
            run=st.sampled_from([None, 0, 1, 2, 3]),
            pages_sharing=st.one_of(st.none(), st.integers(-5, 1 << 30)),
            sleep_millisecs=st.one_of(st.none(), st.integers(0, 1 << 32)),
        ),
        merging=st.lists(
            st.builds(
                Merging,
                st.integers(1, 1 << 22),
                st.text(max_size=15),
                st.integers(0, 1 << 40),
                st.one_of(st.none(), st.integers(0, 1 << 31)),
            )
        ).map(tuple),
        ksmd=st.one_of(
            st.none(),
            st.builds(
                Ksmd,
                st.floats(0.01, 1),
                st.one_of(st.none(), st.floats(0, 1)),
                st.one_of(st.none(), st.floats(0, 1)),
                st.one_of(st.none(), st.integers(0, 1 << 40)),
            ),
        ),
    )
)
def test_whatever_is_not_in_order_has_something_to_do(seen: HostStatus) -> None:
    rows = judge(seen)
    assert all(bool(each.todo) == (each.state is not State.OK) for each in rows)
    assert all(each.found for each in rows)
    assert [each.name for each in rows[:2]] == ["KSM", "memory"]


def test_ksmd_s_scheduling_is_shown_and_idle_may_wait() -> None:
    def ksmd_row(seconds: float, used: float, waited: float, pages: int, policy: str) -> Row:
        look = Ksmd(seconds, used, waited, pages, Scheduling("0", 19, policy))
        (row,) = (each for each in judge(replace(FINE, ksmd=look)) if each.name == "ksmd")
        return row

    for counters in ((0.1, 0.03, 0.9, 500), (0.1, 0.0, 1.0, 0)):
        idle, nice = (ksmd_row(*counters, policy=policy) for policy in ("idle", "normal"))
        assert idle.state is State.OK and idle.found.endswith(
            "; on CPU 0 only, with the policy idle"
        )
        assert nice.state is State.TODO and "; on CPU 0 only, at nice 19" in nice.found
    assert ksmd_row(0.1, 0.97, 0.0, 500, policy="idle").state is State.TODO
