"""Identity of real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ksmrun.facts.identity import pinned, read_identity, user_name
from ksmrun.facts.stat import read_stat

SLEEP = (sys.executable, "-c", "print(flush=True); input()")


def start(*command: str, **options: object) -> subprocess.Popen[str]:
    process = subprocess.Popen(  # type: ignore[call-overload]
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
    )
    assert process.stdout.readline() == "\n"
    return process  # type: ignore[no-any-return]


def test_a_real_process() -> None:
    with start(*SLEEP, "a b") as process, pinned(process.pid) as folder:
        found = read_identity(folder, process.pid)
        assert found.pid == process.pid
        assert found.command.endswith(" 'a b'")
        assert found.executable == str(Path(sys.executable).resolve())
        assert (found.uid, found.user) == (os.geteuid(), user_name(os.geteuid()))
        assert found.start_ticks > 0
        process.communicate("")


@pytest.mark.parametrize("name", ["a) R 1 (b", "(", ")", "a\nb", "\udcff", " "])
def test_names_that_look_like_fields(tmp_path: Path, name: str) -> None:
    """The kernel's name is the file's, which may contain anything."""
    program = tmp_path / name
    shutil.copy("/bin/cat", program)
    with subprocess.Popen([program], stdin=subprocess.PIPE) as process:
        with pinned(process.pid) as folder:
            while read_stat(folder).name != name:
                pass
            found = read_identity(folder, process.pid)
        assert process.stdin is not None
        process.stdin.close()
    assert found.name == name
    assert found.executable == str(program)


def test_a_pinned_process_is_no_other() -> None:
    """Not even if its PID is reused."""
    with start(*SLEEP) as process:
        with pinned(process.pid) as folder:
            process.communicate("")
            with pytest.raises(OSError, match="No such"):
                read_identity(folder, process.pid)
        with pytest.raises(FileNotFoundError), pinned(process.pid):
            pass


def test_kernel_threads(tmp_path: Path) -> None:
    """As the kernel shows ksmd, which a container does not see."""
    with pinned(os.getpid()) as folder:
        assert not read_stat(folder).is_kernel_thread
    flags = " 2097216 1 0 0 0 0 22002 0 0 25 5 1 0 26 0 0"
    (tmp_path / "stat").write_text(f"37 (ksmd) S 2 0 0 0 -1{flags}{' 0' * 28}\n")
    (tmp_path / "status").write_text("Name:\tksmd\nUid:\t0\t0\t0\t0\n")
    for name in ("cgroup", "cmdline"):
        (tmp_path / name).write_text("")
    assert read_stat(tmp_path).is_kernel_thread
    assert read_identity(tmp_path, 37).command == "ksmd"


def test_unknown_users() -> None:
    assert user_name(4_000_000_000) == "4000000000"
