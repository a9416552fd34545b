"""A start script that ends in an exec: from then on the process is the program, for all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import wait_until

from ksmrun.facts.host import read_host
from ksmrun.facts.maps import program_key
from ksmrun.facts.target import look_at
from ksmrun.host.map_peaks import remembered
from ksmrun.model.watch import Watched
from ksmrun.observe.processes import ProcessWatch
from ksmrun.watch.config import Config
from ksmrun.watch.monitor import _remember_peaks
from ksmrun.watch.scanner import Scanner

MANY_MAPS = """
import mmap
maps = [mmap.mmap(-1, 4096, prot=1 + 2 * (number % 2)) for number in range(600)]
print("ready", flush=True)
input()
"""


@pytest.fixture
def script(launcher: str) -> Iterator[subprocess.Popen[bytes]]:
    line = ["sh", "-c", 'read go; exec "$0" -c "$1"', sys.executable, MANY_MAPS]
    process = subprocess.Popen(
        [launcher, "--", *line], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sh\n")
    yield process
    with process:
        process.kill()


def go_on(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"ready\n"


def test_the_monitor(
    script: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSMRUN_STATE_DIR", str(tmp_path))
    scanner = Scanner(Config())

    def seen() -> Watched:
        found = scanner.sample()
        assert not _remember_peaks(found)
        return next(each for each in found.processes if each.identity.pid == script.pid)

    before = seen()
    go_on(script)
    after = seen()
    scanner.close()
    shell, python = (
        program_key(look_at(name.encode(), {})) for name in ("/bin/sh", sys.executable)
    )
    assert (before.identity.name, before.program) == ("sh", shell)
    assert after.identity.name.startswith("python") and after.program == python
    assert after.identity.command.endswith("input()\n'") and after.enabled_by == "prctl"
    assert before.maps is not None and after.maps is not None and after.count is not None
    assert before.maps < 100 and after.maps > 600
    # The growth of another program is no trend.
    assert after.count.per_second == 0
    assert shell is not None and python is not None
    peaks = [remembered(tmp_path / "peaks.json", key) for key in (shell, python)]
    assert [peak is not None and peak.maps > 600 for peak in peaks] == [False, True]


def test_ps_watch_and_top(script: subprocess.Popen[bytes]) -> None:
    """Also between two whole looks."""
    watch, host = ProcessWatch(), read_host()

    def seen() -> str:
        found = watch.look(host).processes
        return next(each.identity.name for each in found if each.pid == script.pid)

    assert seen() == "sh"
    go_on(script)
    assert seen().startswith("python")
