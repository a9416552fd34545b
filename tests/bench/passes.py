"""Measure what ksmd's CPU time goes to: merging new memory, and full scans of what has merged.

Needs root, a compiler and a KSM that nobody else uses; KSM is restored, after unmerging all.

.venv/bin/python tests/bench/passes.py [--processes N]... [--mib N] [--own N]

--own: each N-th page is a process's own (4); 0: all merge, as if what does not were left unmarked;
1: none does, and only the cost at rest means something.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.host.temporary_tunables import borrowed, other_settings
from ksmrun.observe.sampler import ksmd_cpu_seconds

FAST = {"run": "1", "pages_to_scan": "20000", "sleep_millisecs": "1"}
MERGED_SHARE, SCANS, POLL_SECONDS = 0.98, 2, 0.005


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, action="append")
    parser.add_argument("--mib", type=int, default=8)
    parser.add_argument("--own", type=int, default=4)
    options = parser.parse_args()
    print("| processes | CPU s per GiB until merged | full scans | us a page at rest | smart |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, borrowed({"run": "2"}):
        program = Path(folder) / "passes"
        source = Path(__file__).with_suffix(".c")
        subprocess.run(["cc", "-O2", "-o", program, source], check=True)
        for processes in options.processes or (8, 64, 256):
            with other_settings({"run": "2"}), other_settings(FAST):
                row = measured([str(program), *map(str, (processes, options.mib, options.own))])
            print(f"| {processes} | {' | '.join(row)} |", flush=True)


def measured(command: list[str]) -> list[str]:
    """Return the row's cells."""
    processes, mib, own = map(int, command[1:])
    with other_settings({"smart_scan": "0"}):
        before, scans = cpu(), counter("full_scans")
        with subprocess.Popen(command, stdout=subprocess.PIPE) as fleet:
            try:
                assert fleet.stdout is not None and fleet.stdout.readline() == b"ready\n"
                equal = mib * 256 - (mib * 256 // own if own else 0)
                wanted = (processes - 1) * equal * MERGED_SHARE
                while counter("pages_sharing") < wanted:
                    time.sleep(POLL_SECONDS)
                used, scans = cpu() - before, counter("full_scans") - scans
                rest = page_seconds(processes * mib * 256)
                with other_settings({"smart_scan": "1"}):
                    page_seconds(processes * mib * 256)
                    smart = page_seconds(processes * mib * 256)
            finally:
                fleet.kill()
    gib = processes * mib / 1024
    return [f"{used / gib:.2f}", str(scans), f"{rest * 1e6:.2f}", f"{smart * 1e6:.2f}"]


def page_seconds(pages: int) -> float:
    """Return the CPU time of a full scan for each page of the fleet."""
    first = counter("full_scans") + 1
    while counter("full_scans") < first:
        time.sleep(POLL_SECONDS)
    before = cpu()
    while counter("full_scans") < first + SCANS:
        time.sleep(POLL_SECONDS)
    return (cpu() - before) / (counter("full_scans") - first) / pages


def cpu() -> float:
    """Return ksmd's CPU time so far."""
    seconds = ksmd_cpu_seconds()
    assert seconds is not None, "ksmd is not visible in this PID namespace"
    return seconds


def counter(name: str) -> int:
    """Return one of KSM's counters."""
    return read_ksm(ROOT).number(name) or 0


if __name__ == "__main__":
    main()
