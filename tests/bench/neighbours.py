"""Measure what a boost of ksmd costs servers beside it, by the CPUs and the priority that it has.

nginx under wrk, PostgreSQL under pgbench and redis under redis-benchmark, while a fleet merges; by
turns without merging and with each way. Ratios to without, and the time until 90 % had merged, also
as a ratio to that of the first way. Needs root, and what tests/run.sh --full installs; KSM and
ksmd's thread are restored. Each server takes 8 minutes on a quiet machine. Prints the table of the
README:

.venv/bin/python tests/bench/neighbours.py [--rounds N] [--seconds S] [--processes N]
    [--equal-mib N] [--way NAME]... [--server NAME]... | tee neighbours.md
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from attach_latency import SERVERS, Load, Server
from tuning import equal_data

from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.facts.ksmd import online_cpus
from ksmrun.facts.launcher import launcher_path
from ksmrun.host.temporary_tunables import borrowed, other_settings

LAST_CPU = str(max(online_cpus(ROOT) or {0}))
# 5,000 pages each 20 ms, as --auto reaches with its cap of 70 % of a core.
BOOST = {"run": "1", "pages_to_scan": "5000", "sleep_millisecs": "20", "smart_scan": "0"}
WAYS = {
    "boost": {},
    "nice 19": {"ksmd/nice": "19"},
    "idle": {"ksmd/policy": "idle"},
    "last CPU": {"ksmd/cpus": LAST_CPU},
    "last CPU, idle": {"ksmd/cpus": LAST_CPU, "ksmd/policy": "idle"},
}
HOLD = """
import mmap, sys
data = open(sys.argv[1], "rb").read()
memory = mmap.mmap(-1, len(data), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.write(data)
print("ready", flush=True)
sys.stdin.read()
"""
# A way that needs more loads is too late; the table says after how long it was given up.
MERGED_SHARE, LOADS_MAX, POLL_SECONDS = 0.9, 5, 0.1


@contextmanager
def fleet(processes: int, data: Path) -> Iterator[None]:
    """Hold equal memory in so many processes that merge."""
    line: list[str | Path] = [launcher_path(), "--quiet", "--", sys.executable, "-c", HOLD, data]
    held = [
        subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(processes)
    ]
    try:
        for each in held:
            assert each.stdout is not None
            each.stdout.readline()
        yield
    finally:
        for each in held:
            each.kill()
            each.communicate()


def merging(server: Server, seconds: float, goal_pages: int) -> tuple[Load, float]:
    """Load the server while all merges anew; return how it answered, and the time to the goal."""
    reached: list[float] = []
    ended = threading.Event()
    begun = time.monotonic()

    def watch() -> None:
        while not ended.wait(POLL_SECONDS):
            if (read_ksm(ROOT).merged_pages or 0) >= goal_pages:
                reached.append(time.monotonic() - begun)
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        first = server.load(seconds)
        # Only the first load counts, but the last of the goal shall be reached beside a load too.
        for _ in range(LOADS_MAX):
            if reached:
                break
            server.load(seconds)
    finally:
        ended.set()
        watcher.join()
    return first, reached[0] if reached else float("inf")


def measure(arguments: argparse.Namespace, name: str, goal_pages: int) -> Iterator[str]:
    """Yield the rows of one server."""
    ratios: dict[str, list[tuple[float, float]]] = defaultdict(list)
    times: dict[str, list[float]] = defaultdict(list)
    ways = arguments.way or list(WAYS)
    with tempfile.TemporaryDirectory() as folder, SERVERS[name](Path(folder)) as server:
        server.load(arguments.seconds)
        for number in range(arguments.rounds):
            turn = number % len(ways)
            for way in ways[turn:] + ways[:turn]:
                with other_settings({"run": "2"}):
                    alone = server.load(arguments.seconds)
                with other_settings({**WAYS[way], **BOOST}):
                    load, seconds = merging(server, arguments.seconds, goal_pages)
                ratios[way].append((load.requests / alone.requests, load.p99_ms / alone.p99_ms))
                times[way].append(seconds)
    first = median(times[ways[0]])
    for way in ways:
        requests, p99 = (median(each[place] for each in ratios[way]) for place in (0, 1))
        spread = max(each[0] for each in ratios[way]) - min(each[0] for each in ratios[way])
        seconds = median(times[way])
        after = f"{seconds:.1f} s | {seconds / first:.1f}"
        if seconds == float("inf"):
            after = f"not in {LOADS_MAX * arguments.seconds:.0f} s | -"
        yield f"| {name} | {way} | {requests:.2f} (spread {spread:.2f}) | {p99:.2f} | {after} |"


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description="What a boost costs neighbours.")
    parser.add_argument("--rounds", type=int, default=3)
    # Shorter than the boost, or the load would go on beside a ksmd that rests.
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--equal-mib", type=int, default=96)
    parser.add_argument("--way", choices=WAYS, action="append")
    parser.add_argument("--server", choices=SERVERS, action="append")
    arguments = parser.parse_args()
    print("| server | ksmd | requests | p99 | 90 % merged after | times as long |")
    print("|---|---|---|---|---|---|", flush=True)
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "data"
        equal_data(data, arguments.equal_mib)
        stack.enter_context(borrowed({"run": "2"}))
        stack.enter_context(fleet(arguments.processes, data))
        pages = (arguments.processes - 1) * data.stat().st_size // read_ksm(ROOT).page_bytes
        for name in arguments.server or SERVERS:
            for row in measure(arguments, name, int(pages * MERGED_SHARE)):
                print(row, flush=True)


if __name__ == "__main__":
    main()
