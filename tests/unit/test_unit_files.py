"""Files of a service in systemd's order, and whether what was wrapped has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksmrun.facts.unit_files import unit_files


def write(root: Path, *names: str) -> None:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("[Service]\n")


def found(root: Path, name: str) -> list[str]:
    return [str(path.relative_to(root)) for path in unit_files(name, root)]


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
