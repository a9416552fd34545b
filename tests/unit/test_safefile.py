"""Files are written completely, with the right mode and in the right place, or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from ksmrun.support.safefile import create_file, open_lock, overwrite, replace_file, write_named


def test_the_mode_is_not_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        replace_file(tmp_path / "a", b"x", 0o644)
        create_file(tmp_path / "b", b"x", 0o400)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"]
    assert modes == [0o644, 0o400]
    with pytest.raises(FileExistsError):
        create_file(tmp_path / "a", b"y", 0o644)


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_text("mine")
    link.symlink_to(victim)
    replace_file(link, b"x", 0o644)
    assert victim.read_text() == "mine" and not link.is_symlink()
    link.unlink()
    link.symlink_to(victim)
    for write in (
        lambda: overwrite(link, b"x"),
        lambda: open_lock(link),
        lambda: create_file(link, b"x", 0o600),
    ):
        with pytest.raises(OSError):
            write()
    assert victim.read_text() == "mine"


def test_what_the_user_names_is_replaced_or_written_to(tmp_path: Path) -> None:
    """A link leads to what is meant; a device, as /dev/stdout or /dev/null, stays one."""
    file, link, fifo = tmp_path / "file", tmp_path / "link", tmp_path / "fifo"
    link.symlink_to(file)
    for data in (b"new", b"newer"):
        write_named(link, data)
        assert file.read_bytes() == data and link.is_symlink()
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_named(fifo, b"through")
        assert os.read(reader, 99) == b"through" and fifo.is_fifo()
    finally:
        os.close(reader)
    with pytest.raises(IsADirectoryError):
        write_named(tmp_path, b"x")
    assert {each.name for each in tmp_path.iterdir()} == {"file", "link", "fifo"}


def test_the_owner(tmp_path: Path) -> None:
    owner = 65534 if os.geteuid() == 0 else os.geteuid()
    create_file(tmp_path / "a", b"x", 0o400, owner=owner)
    replace_file(tmp_path / "b", b"x", 0o400, owner=owner)
    for name in "ab":
        status = (tmp_path / name).stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (owner, 0o400)


def test_only_what_is_there_is_overwritten(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        overwrite(tmp_path / "a", b"x")
    os.mkfifo(tmp_path / "fifo")
    for write in (overwrite, lambda path, _: open_lock(path)):
        with pytest.raises(OSError):
            write(tmp_path / "fifo", b"x")
    (tmp_path / "a").write_text("1000\n")
    overwrite(tmp_path / "a", b"5")
    assert (tmp_path / "a").read_text() == "5"


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_full_disk_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    file = tmp_path / "a"
    file.write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(file, b"new", 0o644)
    assert [each.name for each in tmp_path.iterdir()] == ["a"]
    assert file.read_text() == "old"
