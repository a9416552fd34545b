"""Measure how smart_scan and max_page_sharing keep equal pages of a settled fleet apart.

.venv/bin/python tests/bench/ideal.py [--json FILE]

Needs root; KSM is restored.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.facts.launcher import launcher_path
from ksmrun.host.temporary_tunables import borrowed

PAGES = 1024
# Pages made equal after the fork, so that each process has its own memory: PAGES in each.
HOLD = """
import mmap, os, random, sys, time
pages, children = int(sys.argv[1]), int(sys.argv[2])
random.seed(1)
data = random.randbytes(pages << 12)
for _ in range(children):
    if os.fork() == 0:
        break
own = mmap.mmap(-1, pages << 12, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
own.write(data)
# At once, or lines of two processes mix.
os.write(1, b"ready\\n")
time.sleep(100000)
"""
RATE = {"run": "1", "pages_to_scan": "3000", "sleep_millisecs": "10"}
# After this many full scans nothing more follows: smart_scan skips up to eight in a row.
PASSES = 40


@contextmanager
def copies(pages: int, children: int) -> Iterator[int]:
    """Start one process and its children; yield the PID of the first."""
    line: list[str | Path] = [launcher_path(), "--quiet", "--"]
    line += [sys.executable, "-c", HOLD, str(pages), str(children)]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    try:
        for _ in range(children + 1):
            assert process.stdout.readline() == b"ready\n"
        yield process.pid
    finally:
        # Their own process group.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def wait_passes(count: int) -> int:
    """Wait for full scans; return how many were completed."""
    first = read_ksm(ROOT).full_scans or 0
    while (passed := (read_ksm(ROOT).full_scans or 0) - first) < count:
        time.sleep(0.02)
    return passed


def merged_pages(pid: int) -> int:
    """Return the merged pages of the process."""
    return int(Path(f"/proc/{pid}/ksm_merging_pages").read_text())


def two_copies(smart_scan: str, passes_apart: int) -> dict[str, int]:
    """Start the second of two equal processes after the first has been scanned this often."""
    with borrowed(RATE | {"smart_scan": smart_scan}), copies(PAGES, 0):
        apart = wait_passes(passes_apart)
        with copies(PAGES, 0) as second:
            wait_passes(PASSES)
            found = min(merged_pages(second), PAGES)
    return {"smart_scan": int(smart_scan), "passes_apart": apart, "merged_pages": found}


def many_copies(children: int, max_page_sharing: str) -> dict[str, int]:
    """Return how many pages are kept for PAGES different ones in this many processes."""
    # max_page_sharing changes only while nothing is merged, so it is set before run=1.
    settings = {"max_page_sharing": max_page_sharing, "smart_scan": "0"} | RATE
    with borrowed(settings), copies(PAGES, children - 1):
        wait_passes(8)
        ksm = read_ksm(ROOT)
    return {
        "processes": children,
        "max_page_sharing": int(max_page_sharing),
        "pages_shared": ksm.number("pages_shared") or 0,
        "pages_sharing": ksm.number("pages_sharing") or 0,
        "stable_node_chains": ksm.number("stable_node_chains") or 0,
        "stable_node_dups": ksm.number("stable_node_dups") or 0,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = []
    for smart_scan in ("1", "0"):
        for passes_apart in (2, 12, *range(20, 30)):
            found.append(two_copies(smart_scan, passes_apart))
            print(found[-1], flush=True)
    for children in (64, 256, 300, 600):
        for limit in ("256", "1024"):
            found.append(many_copies(children, limit))
            print(found[-1], flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
