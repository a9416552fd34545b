"""A guest ends with the tests that booted it, also when those are killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from waiting import wait_until

from .conftest import ROOTS
from .roots import build

BOOT = """
import sys
from pathlib import Path
from systemd.boot import Guest
guest = Guest(252, Path(sys.argv[1]), Path(sys.argv[2]))
guest.boot()
print(guest.leader, flush=True)
sys.stdin.read()
"""


def test_killed_tests(tmp_path: Path) -> None:
    build([ROOTS[252]])
    with subprocess.Popen(
        [sys.executable, "-c", BOOT, ROOTS[252].folder, tmp_path],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "common")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as tests:
        assert tests.stdout is not None
        leader = Path("/proc", tests.stdout.readline().strip())
        assert (leader / "root/usr/local/bin/ksmrun").exists()
        tests.kill()
        wait_until(lambda: not leader.exists(), "the guest is gone")
