"""Measure how long attaching and detaching stop a process, and how that affects a loaded server.

The server is redis under redis-benchmark, with and without by turns. Switches no KSM.

.venv/bin/python tests/bench/attach.py [--times N] [--rounds N]
"""

from __future__ import annotations

import argparse
import csv
import io
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ksmrun.attach.running import HELPER

REQUESTS, CLIENTS = 400_000, 20
# Between two stops.
GAP_SECONDS = 0.01


def stopped_us(pid: int, number: int) -> float:
    """Attach or detach once; return how long the process was stopped, in microseconds."""
    line = [str(HELPER), "off" if number % 2 else "on", str(pid)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    _, outcome, _, stopped_ns = done.stdout.split()
    assert outcome == "done", done.stdout
    return int(stopped_ns) / 1000


@contextmanager
def redis() -> Iterator[tuple[int, int]]:
    """Start redis; yield its PID and port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        line = ["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
        server = subprocess.Popen(line, stdout=subprocess.DEVNULL, cwd=folder)
        try:
            time.sleep(1)
            yield server.pid, port
        finally:
            server.terminate()
            server.wait()


def loaded(pid: int, port: int, stops: list[float] | None) -> tuple[float, float, float]:
    """Return requests per second, p99 and maximum in ms of SET under load.

    With stops, the process is stopped repeatedly meanwhile, and their times are appended.
    """
    line = ["redis-benchmark", "-p", str(port), "-n", str(REQUESTS), "-c", str(CLIENTS)]
    load = subprocess.Popen([*line, "-t", "set", "--csv"], stdout=subprocess.PIPE, text=True)
    number = 0
    while stops is not None and load.poll() is None:
        stops.append(stopped_us(pid, number))
        number += 1
        time.sleep(GAP_SECONDS)
    found, _ = load.communicate()
    (row,) = csv.DictReader(io.StringIO(found))
    return float(row["rps"]), float(row["p99_latency_ms"]), float(row["max_latency_ms"])


def shown(stops: list[float]) -> str:
    ordered = sorted(stops)
    return (
        f"{len(ordered)} stops: median {statistics.median(ordered):.0f} µs, "
        f"99 % under {ordered[int(len(ordered) * 0.99)]:.0f} µs, at most {ordered[-1]:.0f} µs"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=6)
    arguments = parser.parse_args()
    with redis() as (pid, port):
        print("idle:", shown([stopped_us(pid, number) for number in range(arguments.times)]))
        stops: list[float] = []
        results: dict[str, list[tuple[float, float, float]]] = {"alone": [], "attached": []}
        for _ in range(arguments.rounds):
            results["alone"].append(loaded(pid, port, None))
            results["attached"].append(loaded(pid, port, stops))
        print("under load:", shown(stops))
        for name, rows in results.items():
            rps, p99, most = (statistics.median(column) for column in zip(*rows, strict=True))
            print(f"{name}: {rps:.0f} requests/s, p99 {p99:.3f} ms, at most {most:.1f} ms")


if __name__ == "__main__":
    main()
