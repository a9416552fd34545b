"""Programs by the name that they were started by."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksmrun.facts.select import programs


def process(root: Path, pid: int, executable: Path, words: str) -> None:
    folder = root / f"proc/{pid}"
    folder.mkdir(parents=True)
    (folder / "exe").symlink_to(executable)
    (folder / "cmdline").write_text(words)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("/usr/bin/redis-server\0--port\0000\0", "redis-server"),
        ("redis-server\0", "redis-server"),
        # As it calls itself later.
        ("/usr/bin/redis-server 127.0.0.1:6379\0", "redis-server"),
        # What is no name of this file is not believed.
        ("/usr/bin/other\0", "redis-check-rdb"),
        ("/elsewhere/no-such-file\0", "redis-check-rdb"),
        ("../..\0", "redis-check-rdb"),
        ("\0\0", "redis-check-rdb"),
        ("x" * 4000 + "\0", "redis-check-rdb"),
        ("", "redis-check-rdb"),
    ],
)
def test_the_name_that_the_user_typed(tmp_path: Path, words: str, name: str) -> None:
    real = tmp_path / "redis-check-rdb"
    real.touch()
    (tmp_path / "redis-server").symlink_to(real.name)
    (tmp_path / "other").touch()
    process(tmp_path, 1, real, words)
    process(tmp_path, 2, real, "redis-check-rdb\0")
    assert programs([1, 2], tmp_path) == {str(tmp_path / name): [1, 2]}


def test_what_cannot_be_told(tmp_path: Path) -> None:
    assert programs([7], tmp_path) == {"": [7]}
