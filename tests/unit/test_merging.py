"""Processes of wrapped units, as one look at the host finds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksmrun.observe.merging import is_of


@pytest.mark.parametrize(
    ("units", "cgroup", "expected"),
    [
        (["game.service"], "0::/system.slice/game.service", True),
        (["game.service"], "1:name=systemd:/system.slice/game.service\n0::/", True),
        (["game.service"], "0::/system.slice/game.service/payload", True),
        (
            ["other.service", "game@.service"],
            "0::/system.slice/system-game.slice/game@1.service",
            True,
        ),
        (["game@2.service"], "0::/system.slice/system-game.slice/game@1.service", False),
        # A user's unit of that name is another one.
        (
            ["game.service"],
            "0::/user.slice/user-1.slice/user@1.service/app.slice/game.service",
            False,
        ),
        (["game.service"], "0::/", False),
        ([], "0::/system.slice/game.service", False),
    ],
)
def test_whose_processes(tmp_path: Path, units: list[str], cgroup: str, expected: bool) -> None:
    (tmp_path / "cgroup").write_text(f"{cgroup}\n")
    assert is_of(units, tmp_path) == expected
