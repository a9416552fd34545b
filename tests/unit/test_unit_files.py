"""Files of a service in systemd's order, and whether what was wrapped has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksmrun.facts.unit_files import FILES_MAX, OWN, OWN_DATA, unit_files, unit_folders


def write(root: Path, *names: str) -> None:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("[Service]\n")


def found(root: Path, name: str) -> list[str]:
    folders = unit_folders(root / f"etc/systemd/system/{name}.d/x.conf", root)
    return [str(path.relative_to(root)) for path in unit_files(name, folders)]


def test_the_folder_of_the_administrator_comes_first(tmp_path: Path) -> None:
    assert found(tmp_path, "nginx.service") == []
    write(tmp_path, "usr/lib/systemd/system/nginx.service")
    assert found(tmp_path, "nginx.service") == ["usr/lib/systemd/system/nginx.service"]
    write(tmp_path, "etc/systemd/system/nginx.service")
    assert found(tmp_path, "nginx.service") == ["etc/systemd/system/nginx.service"]


def test_drop_ins_by_their_names(tmp_path: Path) -> None:
    write(
        tmp_path,
        "usr/lib/systemd/system/a-b-c.service",
        "usr/lib/systemd/system/a-b-c.service.d/20.conf",
        "etc/systemd/system/a-b-c.service.d/10.conf",
        # This one replaces the one of the same name below /usr.
        "etc/systemd/system/a-b-c.service.d/20.conf",
        "etc/systemd/system/a-b-c.service.d/README",
        "run/systemd/system/a-b-.service.d/15.conf",
        "etc/systemd/system/a-.service.d/05.conf",
        "etc/systemd/system/service.d/30.conf",
        "etc/systemd/system/b-c.service.d/40.conf",
    )
    assert found(tmp_path, "a-b-c.service") == [
        "usr/lib/systemd/system/a-b-c.service",
        "etc/systemd/system/a-.service.d/05.conf",
        "etc/systemd/system/a-b-c.service.d/10.conf",
        "run/systemd/system/a-b-.service.d/15.conf",
        "etc/systemd/system/a-b-c.service.d/20.conf",
        "etc/systemd/system/service.d/30.conf",
    ]


@pytest.mark.parametrize("name", ["game@1.service", "game@.service"])
def test_instances_have_the_files_of_their_template(tmp_path: Path, name: str) -> None:
    write(
        tmp_path,
        "etc/systemd/system/game@.service",
        "etc/systemd/system/game@.service.d/10.conf",
        "etc/systemd/system/game@1.service.d/20.conf",
    )
    files = found(tmp_path, name)
    assert files[:2] == [
        "etc/systemd/system/game@.service",
        "etc/systemd/system/game@.service.d/10.conf",
    ]
    assert (len(files) == 3) == (name == "game@1.service")


@pytest.mark.parametrize("below", [OWN, OWN_DATA])
def test_units_of_a_user(tmp_path: Path, below: str) -> None:
    """Own files come before those of all users, and those of packages last."""
    home = tmp_path / "home/u"
    folders = unit_folders(home / below / "game.service.d/zz-ksmrun.conf", tmp_path)
    write(
        tmp_path,
        "usr/lib/systemd/user/game.service",
        "etc/systemd/system/game.service",
        "etc/systemd/user/game.service.d/10.conf",
        f"home/u/{OWN}/game.service.d/20.conf",
        "home/other/.config/systemd/user/game.service.d/30.conf",
    )
    assert [str(path.relative_to(tmp_path)) for path in unit_files("game.service", folders)] == [
        "usr/lib/systemd/user/game.service",
        "etc/systemd/user/game.service.d/10.conf",
        f"home/u/{OWN}/game.service.d/20.conf",
    ]
    for place in (f"home/u/{OWN_DATA}", "etc/systemd/user", f"home/u/{OWN}"):
        write(tmp_path, f"{place}/game.service")
        assert unit_files("game.service", folders)[0] == tmp_path / place / "game.service"


def test_no_more_files_are_read_than_a_unit_has(tmp_path: Path) -> None:
    write(tmp_path, "etc/systemd/system/a.service")
    for number in range(FILES_MAX + 1):
        assert found(tmp_path, "a.service")
        write(tmp_path, f"etc/systemd/system/a.service.d/{number}.conf")
    assert found(tmp_path, "a.service") == []
