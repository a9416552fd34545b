"""Names of units as users write them, and as cgroups have them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.commands.wrap.unit_plan import unit_name
from ksmrun.facts.placement import unit_of
from ksmrun.facts.select import in_unit
from ksmrun.facts.systemd import Systemd, drop_ins
from ksmrun.model.errors import KsmrunError
from ksmrun.support.unitname import (
    UNIT_TYPES,
    full_name,
    has_cgroup,
    is_template,
    short_name,
    unit_type,
)

NAMES = st.text("ab.8@-_:", min_size=1)


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("game", "game.service"),
        ("php8.2-fpm", "php8.2-fpm.service"),
        ("php8.2-fpm.service", "php8.2-fpm.service"),
        ("redis-6.0@a.b", "redis-6.0@a.b.service"),
        ("a.servicex", "a.servicex.service"),
        (".service", ".service.service"),
        ("getty@tty1", "getty@tty1.service"),
        ("game@", "game@.service"),
        ("session-3.scope", "session-3.scope"),
        ("user.slice", "user.slice"),
        # systemd-escape(1) gives the same.
        ("a b", "a\\x20b.service"),
        ("ä", "\\xc3\\xa4.service"),
        ("game@a\\x2db", "game@a\\x2db.service"),
        ("/mnt/my-data/", "mnt-my\\x2ddata.mount"),
        ("/dev//sda1", "dev-sda1.device"),
        ("/", "-.mount"),
        ("/.hidden", "\\x2ehidden.mount"),
    ],
)
def test_the_unit_that_is_meant(word: str, name: str) -> None:
    assert full_name(word) == name
    assert full_name(name) == name


@given(NAMES, st.sampled_from(UNIT_TYPES))
def test_only_a_type_of_systemds_is_one(stem: str, suffix: str) -> None:
    assert unit_type(f"{stem}.{suffix}") == suffix
    assert unit_type(f"{stem}.x{suffix}") is None
    assert full_name(short_name(f"{stem}.service")) == f"{stem}.service"


def test_a_short_name_still_means_the_unit() -> None:
    assert short_name("php8.2-fpm.service") == "php8.2-fpm"
    assert short_name("a.timer.service") == "a.timer.service"
    assert short_name("a.scope") == "a.scope"


@pytest.mark.parametrize(
    ("name", "folder", "expected"),
    [
        ("game.service", "game.service", True),
        ("game.service", "game.service2", False),
        ("cpu.service", "_cpu.service", True),
        ("_x.service", "__x.service", True),
        ("game@.service", "game@1.service", True),
        ("game@.service", "game@a.b.service", True),
        ("game@.service", "game@1.scope", False),
        ("game@.service", "games@1.service", False),
        ("game@1.service", "game@.service", False),
    ],
)
def test_cgroups_of_a_unit(name: str, folder: str, expected: bool) -> None:
    assert has_cgroup(name, folder) is expected
    assert is_template(name) is (name == "game@.service")


def test_processes_by_a_units_name(tmp_path: Path) -> None:
    groups = {
        1: "0::/system.slice/php8.2-fpm.service",
        2: "0::/system.slice/system-game.slice/game@a\\x2db.service/sub",
        3: "0::/user.slice/user-1.slice/user@1.service/app.slice/game@2.service",
        4: "0::/system.slice/mnt-data.mount",
        5: "3:cpu:/\n1:name=systemd:/system.slice/_cpu.service",
        6: "0::/",
    }
    for pid, text in groups.items():
        (tmp_path / f"proc/{pid}").mkdir(parents=True)
        (tmp_path / f"proc/{pid}/cgroup").write_text(text + "\n")
    for unit, pids in {
        "php8.2-fpm": (1,),
        "php8.2-fpm.service": (1,),
        "php8.2": (),
        "game@": (2, 3),
        "game@.service": (2, 3),
        "game@a\\x2db": (2,),
        "/mnt/data": (4,),
        "cpu": (5,),
        "system.slice": (1, 2, 4, 5),
    }.items():
        assert in_unit(unit, tmp_path) == pids, unit


def test_where_a_process_is() -> None:
    assert unit_of("/system.slice/mnt-data.mount") == "mnt-data.mount"
    assert unit_of("/system.slice/_cpu.service") == "cpu.service"


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("php8.2-fpm", "php8.2-fpm.service"),
        ("game@", "game@.service"),
        ("game@1.2", "game@1.2.service"),
        ("a.swapped", "a.swapped.service"),
    ],
)
def test_services_that_are_wrapped(name: str, full: str) -> None:
    assert unit_name(Systemd(), name) == full


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *((f"php8.2.{suffix}", "is not a service") for suffix in UNIT_TYPES if suffix != "service"),
        ("a.b.container", "ksmrun wrap quadlet a.b.container"),
        ("/etc/systemd/system/a.service", "not a valid unit name"),
    ],
)
def test_what_is_not_wrapped(name: str, said: str) -> None:
    with pytest.raises(KsmrunError, match=said):
        unit_name(Systemd(), name)


@pytest.mark.parametrize(
    ("user", "todo"),
    [
        (False, "run: sudo ksmrun wrap quadlet a.container"),
        (True, "run: ksmrun wrap quadlet --user a.container"),
    ],
)
def test_whose_quadlet_it_is(user: bool, todo: str) -> None:
    with pytest.raises(KsmrunError) as caught:
        unit_name(Systemd(user), "a.container")
    assert caught.value.todo == todo


@given(st.lists(st.text("ab-x@. \\", min_size=1)))
def test_drop_ins_as_systemctl_prints_them(names: list[str]) -> None:
    """It quotes words with a blank or a backslash (shell_maybe_quote() in its source)."""
    paths = [f"/etc/{name}" for name in names]
    escaped = [path.replace("\\", "\\\\") for path in paths]
    plain = [f'"{text}"' if set(text) & set(" \\") else text for text in escaped]
    assert drop_ins({"DropInPaths": " ".join(plain)}) == [Path(path) for path in paths]
    assert drop_ins({"DropInPaths": shlex.join(paths)}) == [Path(path) for path in paths]
    assert drop_ins({}) == []
    assert drop_ins({"DropInPaths": '/a "'}) == [Path("/a"), Path('"')]
