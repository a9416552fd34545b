"""Measure the CPU and memory that `ksmrun monitor` uses beside many merging processes.

At its default settings. Needs root; KSM stays as it is.

.venv/bin/python tests/bench/monitor.py [--seconds N] [--maps N] [PROCESSES]...
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from ksmrun.facts.launcher import launcher_path

START_SECONDS = 20.0


def measure(program: Path, processes: int, maps: int, seconds: float) -> str:
    """Return the cells of a row."""
    line = [str(launcher_path()), "--", str(program), str(maps)]
    fleet = [
        subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(processes)
    ]
    try:
        for each in fleet:
            assert each.stdout is not None
            each.stdout.readline()
        command = [str(Path(sys.executable).with_name("ksmrun")), "monitor"]
        command.append("--listen=127.0.0.1:9739")
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as monitor:
            watched = psutil.Process(monitor.pid)
            # The first sample reads everything.
            time.sleep(START_SECONDS)
            before = sum(watched.cpu_times()[:2])
            time.sleep(seconds)
            share = (sum(watched.cpu_times()[:2]) - before) / seconds
            memory = watched.memory_info().rss / (1 << 20)
            monitor.terminate()
        return f"| {processes} | {before:.2f} s | {share:.2%} | {memory:.1f} |"
    finally:
        for each in fleet:
            each.kill()
            each.communicate()


def main() -> int:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description="What the monitor takes.")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--maps", type=int, default=1000)
    parser.add_argument("processes", type=int, nargs="*", default=[16, 256, 2000])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "maps"
        source = Path(__file__).with_name("maps.c")
        subprocess.run(["gcc", "-O1", "-static", "-o", program, source], check=True)
        print("| processes | CPU until the second sample | of a core after that | MiB |")
        print("|---|---|---|---|", flush=True)
        for processes in arguments.processes:
            print(measure(program, processes, arguments.maps, arguments.seconds), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
