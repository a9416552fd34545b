"""Measure whether servers answer more slowly, outside of the stops, while they are attached to.

p99 latency of nginx under wrk, PostgreSQL under pgbench and redis under redis-benchmark: by turns
alone, and with each process attached to or detached from once a second. Needs root, and what
tests/run.sh --full installs. Switches no KSM.

.venv/bin/python tests/bench/attach_latency.py [--rounds N] [--seconds S]
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
from scipy import stats

from ksmrun.attach.running import HELPER

POSTGRES = Path("/usr/lib/postgresql/15/bin")
AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
NGINX = """
daemon off; pid nginx.pid; error_log error.log; worker_processes 2; user www-data;
events {}
http { access_log off; server { listen 127.0.0.1:%d; location / { return 200 "hello\\n"; } } }
"""
# Approximate requests per second that redis answers here.
REDIS_RATE = 80_000
UNITS_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Load:
    """How a server answered. requests: per second."""

    requests: float
    p99_ms: float


@dataclass(frozen=True)
class Server:
    """Server under load. pid: its first process, whose children are attached to as well.

    load: runs for this many seconds.
    """

    pid: int
    load: Callable[[float], Load]


@contextmanager
def nginx(folder: Path) -> Iterator[Server]:
    port = free_port()
    folder.chmod(0o755)
    (folder / "nginx.conf").write_text(NGINX % port)
    with running(["nginx", "-p", str(folder), "-c", "nginx.conf"], folder) as pid:

        def load(seconds: float) -> Load:
            line = ["wrk", "-t1", "-c16", f"-d{seconds:.0f}s", "--latency"]
            line.append(f"http://127.0.0.1:{port}/")
            text = output(line)
            found = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
            rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
            assert found is not None and rate is not None
            return Load(float(rate[1]), float(found[1]) * UNITS_MS[found[2]])

        yield Server(pid, load)


@contextmanager
def postgres(folder: Path) -> Iterator[Server]:
    folder.chmod(0o755)
    data, logs = folder / "data", folder / "logs"
    data.mkdir()
    logs.mkdir()
    subprocess.run(["chown", "postgres", data], check=True)
    output([*AS_POSTGRES, str(POSTGRES / "initdb"), "-A", "trust", "-D", str(data)])
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={data}"]
    start = [*AS_POSTGRES, str(POSTGRES / "postgres"), "-D", str(data), *options]
    bench = [str(POSTGRES / "pgbench"), "-h", str(data), "-U", "postgres"]
    with running(start, folder) as pid:
        output([*bench, "-i", "-q", "postgres"])

        def load(seconds: float) -> Load:
            """Load with reads only: writes wait for the disk, which varies over time."""
            prefix = str(logs / "each")
            line = [*bench, "-S", "-n", "-l", f"--log-prefix={prefix}", "-c8", f"-T{seconds:.0f}"]
            output([*line, "postgres"])
            took: list[int] = []
            for file in logs.iterdir():
                took += [int(row.split()[2]) for row in file.read_text().splitlines()]
                file.unlink()
            return Load(len(took) / seconds, sorted(took)[int(len(took) * 0.99)] / 1e3)

        yield Server(pid, load)


@contextmanager
def redis(folder: Path) -> Iterator[Server]:
    port = free_port()
    line = ["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
    with running(line, folder) as pid:

        def load(seconds: float) -> Load:
            requests = ["-n", str(int(REDIS_RATE * seconds)), "-c", "20", "-t", "set", "--csv"]
            (row,) = csv.DictReader(
                io.StringIO(output(["redis-benchmark", "-p", str(port), *requests]))
            )
            return Load(float(row["rps"]), float(row["p99_latency_ms"]))

        yield Server(pid, load)


SERVERS = {"nginx, wrk": nginx, "PostgreSQL, pgbench -S": postgres, "redis, SET": redis}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def output(line: Sequence[str]) -> str:
    done = subprocess.run(line, capture_output=True, text=True, check=True, cwd="/")
    return done.stdout


@contextmanager
def running(line: Sequence[str], folder: Path) -> Iterator[int]:
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(line, cwd=folder, stdout=log, stderr=log)
    try:
        time.sleep(2)
        yield server.pid
    finally:
        server.terminate()
        server.wait()


@contextmanager
def attaching(pid: int, stops_us: list[float]) -> Iterator[None]:
    """Attach once a second to all processes that exist then."""
    ended = threading.Event()

    def work() -> None:
        word = "on"
        while not ended.is_set():
            process = psutil.Process(pid)
            pids = [str(each.pid) for each in (process, *process.children(recursive=True))]
            rows = [row.split() for row in output([str(HELPER), word, *pids]).splitlines()]
            # A connection's process may have ended meanwhile.
            stops_us.extend(int(row[3]) / 1e3 for row in rows if row[1] == "done")
            word = "off" if word == "on" else "on"
            ended.wait(1.0)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def interval(ratios: Sequence[float]) -> str:
    """Return the t interval of the mean."""
    found = stats.ttest_1samp(ratios, 1.0).confidence_interval(0.95)
    return f"{sum(ratios) / len(ratios):.3f} ({found.low:.3f} to {found.high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=8.0)
    arguments = parser.parse_args()
    print("| server | p99 alone | attached to | ratio, 95 % interval | stops |")
    print("|---|---|---|---|---|")
    for name, serve in SERVERS.items():
        alone: list[float] = []
        attached: list[float] = []
        stops_us: list[float] = []
        with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as server:
            server.load(arguments.seconds)
            for number in range(arguments.rounds):
                for is_attached in (number % 2 == 0, number % 2 == 1):
                    if not is_attached:
                        alone.append(server.load(arguments.seconds).p99_ms)
                        continue
                    with attaching(server.pid, stops_us):
                        attached.append(server.load(arguments.seconds).p99_ms)
        ratios = [after / before for after, before in zip(attached, alone, strict=True)]
        print(
            f"| {name} | {median(alone):.3f} ms | {median(attached):.3f} ms "
            f"| {interval(ratios)} | {len(stops_us)}, at most {max(stops_us):.0f} us |",
            flush=True,
        )


if __name__ == "__main__":
    main()
