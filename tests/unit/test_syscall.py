"""System calls that some Pythons lack: the same results as those of Pythons that have them."""

from __future__ import annotations

import errno
import os
import platform
from pathlib import Path

import pytest

from ksmrun.facts import process
from ksmrun.facts.capabilities import grants_capabilities
from ksmrun.support.syscall import NUMBERS, syscall


def test_attributes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with a value, and with each error."""
    file = tmp_path / "file"
    file.touch()
    os.setxattr(file, "user.x", b"12345")
    assert syscall("getxattr", os.fsencode(file), b"user.x", None, 0) == 5
    for place, name in ((file, "user.y"), (tmp_path / "none", "user.x"), (file, "x" * 300)):
        with pytest.raises(OSError) as by_python:
            os.getxattr(place, name)
        with pytest.raises(OSError) as by_number:
            syscall("getxattr", os.fsencode(place), name.encode(), None, 0)
        assert by_number.value.errno == by_python.value.errno
    monkeypatch.delattr(os, "getxattr")
    assert grants_capabilities(file) is False


def test_memfds(monkeypatch: pytest.MonkeyPatch) -> None:
    """All are on one mount, whoever makes them."""
    by_python = process._mount_of_memfds.__wrapped__()
    monkeypatch.delattr(os, "memfd_create")
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert process._mount_of_memfds.__wrapped__() == by_python is not None
    descriptor = process._create_memfd()
    assert descriptor is not None
    assert os.get_inheritable(descriptor) is False
    os.close(descriptor)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_errors_and_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError) as refused:
        syscall("memfd_create", b"", 1 << 30)
    assert refused.value.errno == errno.EINVAL
    named = os.uname_result(("Linux", "host", "6.1", "#1", "riscv64"))
    monkeypatch.setattr(os, "uname", lambda: named)
    assert syscall("memfd_create", b"", 0) is None
    assert platform.machine() in NUMBERS
