"""What a value may be is named with the error: ports, tunables, commands of alerts."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from ksmrun.host.allowed import allowed
from ksmrun.model.errors import UsageError
from ksmrun.support.advice import helper_todo, write_todo
from ksmrun.support.words import SHOWN_MAX, shortened
from ksmrun.watch.config import load
from ksmrun.watch.exporter import _listen_todo


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errno.EADDRINUSE, "ss -ltnp 'sport = 80'"),
        (errno.EACCES, "port from 1024 on"),
        (errno.EADDRNOTAVAIL, "address of this host"),
    ],
)
def test_why_a_port_cannot_be_had(error: int, said: str) -> None:
    assert said in _listen_todo(OSError(error, "x"), 80)


def test_tunables() -> None:
    assert allowed("run") == "0 (stop), 1 (merge) or 2 (unmerge)"
    assert "from 0 to 4294967295" in allowed("pages_to_scan")
    assert "huge page" in allowed("khugepaged/max_ptes_none")
    assert allowed("not_known_yet") == "a whole number, 0 or more"


def test_a_command_that_is_not_there_is_found_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "plain").touch(0o644)
    for command in (tmp_path / "gone", tmp_path / "plain"):
        with pytest.raises(UsageError, match="does not exist or is not executable"):
            load(None, {"on_alert": str(command)})


def test_what_is_to_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    assert helper_todo(errno.EACCES, "/a b") == "see where permission is missing: namei -l '/a b'"
    assert helper_todo(errno.ENOENT, "/x") == "install ksmrun again"
    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_NOEXEC))
        assert "noexec: findmnt -T '/a b'" in helper_todo(errno.EACCES, "/a b")
    assert "ulimit" in helper_todo(errno.ENOMEM, "/x")
    assert f"the files for {os.uname().machine}" in helper_todo(errno.ENOEXEC, "/x")
    for number in (errno.EROFS, errno.ENOSPC, errno.EACCES, errno.ENOTDIR):
        alone = write_todo(OSError(number, "said"))
        assert alone and write_todo(OSError(number, "said"), "give another").split(", or ") == [
            alone,
            "give another",
        ]
    assert len(shortened("x" * 5000)) == SHOWN_MAX + len("...")
