"""Find out what kill -9 of ksmrun-attach does to the process that it has stopped.

Each kill comes as soon as the process is seen to be stopped. Switches no KSM.

.venv/bin/python tests/bench/attach_killed.py [--kills N]
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import tempfile
import time
from pathlib import Path

from ksmrun.attach.running import HELPER

SOURCE = Path(__file__).parents[1] / "integration/programs/steady.c"
# Printed if each of its sums was correct and no signal was lost.
RIGHT = "wrong 0 lost 0 alarms come\n"
RUN_SECONDS = 0.5
# About the length of a stop.
STOP_SECONDS = 0.0006


def killed_in_time(pid: int) -> bool:
    """Attach and kill the helper; return whether the process was stopped at that moment."""
    descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    stood = False
    with subprocess.Popen([HELPER, "on", str(pid)], stdout=subprocess.DEVNULL) as helper:
        while not stood and helper.poll() is None:
            stood = b") t" in os.pread(descriptor, 256, 0)
        until = time.monotonic() + random.uniform(0, STOP_SECONDS)
        while time.monotonic() < until:
            pass
        helper.kill()
    os.close(descriptor)
    return stood


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=250)
    arguments = parser.parse_args()
    aimed = harmed = 0
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "steady"
        subprocess.run(["gcc", "-O2", "-w", SOURCE, "-o", program], check=True)
        while aimed < arguments.kills:
            line = [str(program), str(RUN_SECONDS)]
            process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            process.stdout.readline()
            aimed += killed_in_time(process.pid)
            try:
                harmed += process.communicate(timeout=10)[0] != RIGHT
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                harmed += 1
    print(f"{harmed} of {aimed} kills of a helper at work harmed the process")


if __name__ == "__main__":
    main()
