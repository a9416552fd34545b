"""Odd start scripts: the helper that follows them never obstructs them."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

from .conftest import Programs
from .support.layouts import key, kinds, launch

__all__ = ["key", "kinds", "launch"]

SECONDS_MAX = 60


def test_a_program_stopped_while_it_is_moved(launch: list[str], kinds: Programs) -> None:
    """The sender of SIGCONT is followed too, so the helper must not wait for that."""
    script = f"""for i in $(seq 100); do
        {kinds.where} >/dev/null & kill -STOP $!
        /bin/true
        kill -CONT $!; wait $! || echo "$?"
    done; echo finished"""
    done = subprocess.run(
        [*launch, "bash", "-c", script],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.stdout == "finished\n"


def test_a_fifo_instead_of_a_program(launch: list[str], tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    fifo.chmod(0o755)
    done = subprocess.run([*launch, fifo], capture_output=True, timeout=SECONDS_MAX, check=False)
    assert done.returncode == 126


def test_a_full_stderr(launcher: str, key: str, programs: Programs) -> None:
    """There is a message about a program that cannot be moved."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    command = [launcher, "--layout=shared", f"--layout-key={key}", "--merge=keep", "--"]
    command += ["sh", "-c", f"ulimit -Ss 300000; {programs.flag_32} >/dev/null; echo went on"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=writer, timeout=SECONDS_MAX, check=False
    )
    os.close(reader)
    os.close(writer)
    assert done.stdout.endswith(b"went on\n")


def test_required_in_a_script(launcher: str, key: str, programs: Programs) -> None:
    """It is made to exit, by a system call of its own kind."""
    command = [launcher, "--layout=shared", f"--layout-key={key}", "--merge=keep", "--require"]
    command += ["--", "bash", "-c", f"ulimit -Ss 300000; {programs.flag_32}; echo $?"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    assert done.stdout == "125\n" and "shared layout not applied" in done.stderr
