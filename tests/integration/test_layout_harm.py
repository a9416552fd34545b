"""Odd start scripts: the helper that follows them never stands in their way."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .conftest import Programs
from .layouts import key, kinds, launch

__all__ = ["key", "kinds", "launch"]

SECONDS_MAX = 60


def test_a_program_stopped_while_it_is_moved(launch: list[str], kinds: Programs) -> None:
    """What sends SIGCONT is followed too, so the helper must not wait for that."""
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
