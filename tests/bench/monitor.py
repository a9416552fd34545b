"""Measure the CPU and memory that `ksmrun monitor` uses beside many merging processes.

As a user runs it: default settings, metrics served and read once a minute, ksmd on at the kernel's
rate. CPU time is the monitor's user and system time, which other programs hardly change. Needs
root; KSM is restored.

.venv/bin/python tests/bench/monitor.py [--seconds N] [--maps N] [--total-mib N] [PROCESSES]...
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

from ksmrun.facts.launcher import launcher_path
from ksmrun.host.temporary_tunables import borrowed

START_SECONDS, SCRAPE_SECONDS = 20.0, 60.0
ADDRESS = "127.0.0.1:9739"
# Memory of a process that merges; many processes have less, so that all fit.
MIB_MAX = 32


def measure(program: Path, processes: int, arguments: argparse.Namespace) -> str:
    """Return the cells of a row."""
    size_mib = min(MIB_MAX, max(arguments.total_mib // processes, 1))
    line: list[str | Path] = [launcher_path(), "--quiet", "--", program]
    line += [str(arguments.maps), str(size_mib)]
    fleet = [
        subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(processes)
    ]
    try:
        for each in fleet:
            assert each.stdout is not None
            each.stdout.readline()
        command = [str(Path(sys.executable).with_name("ksmrun")), "monitor", f"--listen={ADDRESS}"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as monitor:
            watched = psutil.Process(monitor.pid)
            # The first sample reads everything.
            time.sleep(START_SECONDS)
            begun, before = time.monotonic(), sum(watched.cpu_times()[:2])
            while time.monotonic() - begun < arguments.seconds:
                with urllib.request.urlopen(f"http://{ADDRESS}/metrics") as answer:
                    answer.read()
                time.sleep(SCRAPE_SECONDS)
            used = sum(watched.cpu_times()[:2]) - before
            share = used / (time.monotonic() - begun)
            memory = watched.memory_info().rss / (1 << 20)
            monitor.terminate()
        return f"| {processes} | {size_mib} | {before:.2f} s | {share:.2%} | {memory:.1f} |"
    finally:
        for each in fleet:
            each.kill()
            each.communicate()


def main() -> int:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description="What the monitor takes.")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--maps", type=int, default=1000)
    parser.add_argument("--total-mib", type=int, default=8192)
    parser.add_argument("processes", type=int, nargs="*", default=[16, 256, 2000])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, borrowed({"run": "1"}):
        program = Path(folder) / "maps"
        source = Path(__file__).with_name("maps.c")
        subprocess.run(["gcc", "-O1", "-static", "-o", program, source], check=True)
        print("| processes | MiB each | CPU until the second sample | of a core after that | MiB |")
        print("|---|---|---|---|---|", flush=True)
        for processes in arguments.processes:
            print(measure(program, processes, arguments), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
