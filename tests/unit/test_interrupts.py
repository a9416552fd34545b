"""A change that a signal interrupts is undone, and the command ends by the signal."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A systemd manager that gets the signal during one of its calls, and a second one during the undo,
# as an impatient user sends it.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from ksmrun.commands.wrap.unit_apply import apply
from ksmrun.facts.systemd import Systemd
from ksmrun.model.wrap import HEADER_MARK
import subprocess

file, old, new, number, at = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:6]

class Stub(Systemd):
    def call(self, program, *arguments):
        with Path(sys.argv[6]).open("a") as log:
            print(*arguments, old.exists(), new.exists(), file=log)
        if at in arguments or (at == "twice" and "restart" in arguments):
            os.kill(os.getpid(), int(number))
        return subprocess.CompletedProcess(arguments, 0, "", "")

    def show(self, name):
        return {"ActiveState": "active", "MainPID": "0"}

def compare():
    if at == "compare":
        os.kill(os.getpid(), int(number))

if sys.argv[7:] == ["ignored"]:
    signal.signal(int(number), signal.SIG_IGN)
else:
    signal.signal(int(number), signal.SIG_DFL)
text = f"{HEADER_MARK}x`: after\\n"
apply(Stub(), [(old, text), (new, text)], compare=compare, services=["a"], judge=lambda _: None)
print("applied")
"""


def start(
    tmp_path: Path, number: int, at: str, *more: str
) -> tuple[subprocess.CompletedProcess[str], str, list[str]]:
    from ksmrun.model.wrap import HEADER_MARK

    old, new, log = tmp_path / "a.service.d/old.conf", tmp_path / "new.conf", tmp_path / "log"
    old.parent.mkdir()
    old.write_text(f"{HEADER_MARK}x`: before\n")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(old), str(new), str(number), at]
    done = subprocess.run(
        [*command, str(log), *more], capture_output=True, text=True, check=False, timeout=60
    )
    assert "after" in old.read_text() or not new.exists()
    return done, old.read_text(), log.read_text().splitlines()


@pytest.mark.parametrize("at", ["daemon-reload", "compare", "reset-failed", "restart", "twice"])
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_all_is_taken_back(tmp_path: Path, number: int, at: str) -> None:
    done, text, calls = start(tmp_path, number, at)
    assert done.returncode == -number, done.stderr
    assert text.endswith("before\n")
    assert not (tmp_path / "new.conf").exists()
    name = signal.Signals(number).name
    said = f"interrupted ({name}): every change was taken back; run the command again"
    assert done.stderr == f"ksmrun: {said}\n"
    # The service runs as before, and nothing waits for one whose start hangs.
    assert calls[-1] == "restart --no-block -- a True False"
    assert "daemon-reload True False" in calls


def test_a_signal_that_the_caller_ignores(tmp_path: Path) -> None:
    """As with nohup(1)."""
    done, text, _ = start(tmp_path, signal.SIGHUP, "restart", "ignored")
    assert (done.returncode, done.stdout) == (0, "applied\n"), done.stderr
    assert text.endswith("after\n")
