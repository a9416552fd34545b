"""Measure the cost of `ksmrun top` and `ksmrun ps` with 200 merged processes.

Each process has 1,000 VMAs and 8 MiB.

python tests/bench/look.py [--processes 200] [--maps 1000] [--seconds 60]
"""

from __future__ import annotations

import argparse
import os
import pty
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

from ksmrun.facts.launcher import launcher_path

KSMRUN = str(Path(sys.executable).with_name("ksmrun"))
# Neighbours of different protection stay separate VMAs.
HOLD = """
import mmap, sys, time
maps = [mmap.mmap(-1, 4096, prot=1 + 2 * (n % 2), flags=34) for n in range(int(sys.argv[1]))]
data = b"x" * (8 << 20)
print(flush=True)
time.sleep(3600)
"""
SETTLE_SECONDS = 15


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=200)
    parser.add_argument("--maps", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    command = [str(launcher_path()), "--quiet", "--", sys.executable, "-c", HOLD, str(options.maps)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(options.processes)]
    try:
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        print(f"{options.processes} processes of {options.maps} maps and more")
        print(f"ksmrun ps: {ps_seconds():.2f} s of CPU")
        share, rss_mib = top_cost(options.seconds)
        print(f"ksmrun top: {share:.1%} of a core over {options.seconds:g} s, {rss_mib:.0f} MiB")
    finally:
        for process in started:
            process.kill()
            process.wait()


def ps_seconds() -> float:
    """Return the CPU time of one call, including Python's start."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([KSMRUN, "ps"], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def top_cost(seconds: float) -> tuple[float, float]:
    """Return the share of a core once it is running, and RSS in MiB."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    top = subprocess.Popen(
        [KSMRUN, "top"], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    threading.Thread(target=drain, args=(ours,), daemon=True).start()
    time.sleep(SETTLE_SECONDS)
    before = cpu_seconds(top.pid)
    time.sleep(seconds)
    share = (cpu_seconds(top.pid) - before) / seconds
    pages = int(Path(f"/proc/{top.pid}/statm").read_text().split()[1])
    top.terminate()
    top.wait()
    return share, pages * resource.getpagesize() / (1 << 20)


def drain(terminal: int) -> None:
    """Read what is drawn, as a terminal does."""
    try:
        while os.read(terminal, 1 << 16):
            pass
    # EIO: the program has closed its end.
    except OSError:
        return


def cpu_seconds(pid: int) -> float:
    """Return user and system time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
