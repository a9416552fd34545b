"""Measure the cost of `ksmrun monitor --follow` for growing programs of several sizes.

.venv/bin/python tests/bench/follow.py [--rounds N]

Needs root. Marks by madvise, as before Linux 6.4; merging itself does not matter here, so KSM is
left as it is.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from ksmrun.facts.stat import read_stat
from ksmrun.host.attach_state import attached_file, remember
from ksmrun.watch.follow import Follower

# Two MiB each, so that larger programs also have more VMAs.
PIECE_BYTES = 2 << 20
GROWS = f"""
import mmap, sys
kept = []
def grow():
    # What lies between keeps two from becoming one.
    kept.append(mmap.mmap(-1, {PIECE_BYTES}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    kept[-1].write(bytes({PIECE_BYTES}))
    kept.append(mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ))
for _ in range(int(sys.argv[1])):
    grow()
print("ready", flush=True)
for line in sys.stdin:
    grow()
    print("grown", flush=True)
"""
SIZES_MIB = (64, 256, 1024)


def measure(size_mib: int, rounds: int) -> tuple[float, float, int]:
    """Return the CPU ms of the first pass and of one after growth, and the longest stop in us."""
    pieces = (size_mib << 20) // PIECE_BYTES
    pipe = subprocess.PIPE
    line = [sys.executable, "-c", GROWS, str(pieces)]
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, text=True) as program:
        assert program.stdin is not None and program.stdout is not None
        program.stdout.readline()
        ticks = read_stat(Path(f"/proc/{program.pid}")).start_ticks
        file = attached_file()
        assert file is not None
        remember(file, {program.pid: ticks}, attach=True)
        follower = Follower(lambda level, text: print(f"{level}: {text}"))
        first = before = follower.follow().cpu_seconds
        later = []
        for _ in range(rounds):
            program.stdin.write("\n")
            program.stdin.flush()
            program.stdout.readline()
            while (seen := follower.follow()).cpu_seconds == before:
                pass
            later.append(seen.cpu_seconds - before)
            before = seen.cpu_seconds
        program.stdin.close()
    return first * 1e3, median(later) * 1e3, seen.stopped_ns_max // 1000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    print("| program | first look | after it grew, median | longest stop |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KSMRUN_STATE_DIR"] = folder
        for size_mib in SIZES_MIB:
            first_ms, later_ms, stop_us = measure(size_mib, arguments.rounds)
            print(
                f"| {size_mib} MiB | {first_ms:.0f} ms | {later_ms:.0f} ms | {stop_us} us |",
                flush=True,
            )


if __name__ == "__main__":
    main()
