"""`ksmrun wrap list` in narrow terminals: how to remove it is the reason to ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksmrun.commands.wrap import list as wrap_list
from ksmrun.model.wrap import Wrap
from ksmrun.options.output import Format
from ksmrun.options.wrap import ListOptions

NAMES = ("nginx.service", "a-game-server-of-a-long-name@instance-one.service")


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_how_to_remove_is_seen(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wraps = [
        Wrap(
            kind="unit",
            name=name,
            path=Path(f"/etc/systemd/system/{name}.d/50-ksmrun.conf"),
            ours=name == NAMES[0],
            libexec=None,
            remove=f"sudo ksmrun wrap unit --remove {name}" if name == NAMES[0] else None,
        )
        for name in NAMES
    ]
    monkeypatch.setattr(wrap_list, "find_wraps", lambda: tuple(wraps))
    monkeypatch.setenv("COLUMNS", str(width))
    wrap_list.list_wraps(ListOptions())
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= width for line in lines)
    first = lines[0]
    start, end = first.index("to remove"), first.index("file")
    told = " ".join(" ".join(line[start:end].strip() for line in lines[2:]).split())
    assert told.replace(" ", "").startswith(f"sudoksmrunwrapunit--remove{NAMES[0]}byhand:ksmrun")
    wrap_list.list_wraps(ListOptions(format=Format.TSV))
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[1] for row in rows] == ["name", *NAMES]
