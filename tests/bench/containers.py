"""Measure what merging saves over many processes in Podman, Docker and containerd.

Without and with merging by turns. Needs root; KSM is restored.

.venv/bin/python tests/bench/containers.py [--containers N] [--processes N] [--rounds N]
    [--program NAME] [--engine NAME]... [--json FILE]

Every container sees the host's /usr, so it runs what the host has: ddnet-server, python3. Its first
process is a shell, started by ksmrun-exec, and what that starts inherits the flag.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from engines import ENGINES, Engine, ready_engine

from ksmrun.facts.launcher import launcher_path
from ksmrun.host.temporary_tunables import borrowed
from ksmrun.model.errors import KsmrunError
from ksmrun.observe.fleet import FleetSampler
from ksmrun.observe.settle import has_settled

SCHEMA = "ksmrun-containers-1"
MIB = 1 << 20
TUNABLES = {"run": "1", "pages_to_scan": "5000", "sleep_millisecs": "20", "use_zero_pages": "1"}
START_SECONDS, SETTLE_SECONDS, QUIET_SECONDS = 300.0, 180.0, 5.0
ARMS = {"off": "--merge=off", "on": "--merge=on"}
# Imports of a small web service, which then does nothing.
PYTHON = (
    "import asyncio, decimal, email, http.server, json, logging, sqlite3, ssl, sys, unittest, xml\n"
    "import xml.dom.minidom, urllib.request, multiprocessing, concurrent.futures, ctypes, typing\n"
    "sys.stdin.read()"
)


@dataclass(frozen=True)
class Program:
    """Program in the containers.

    line: shell code that starts one; N is its number in the container.

    MiB values: minimum memory of a process that is ready, and anonymous memory without merging.
    """

    line: str
    ready_mib: int
    anonymous_mib: int


PROGRAMS = {
    "ddnet": Program(
        "/usr/games/DDNet-Server 'sv_ipv4only 1' 'bindaddr 127.0.0.1' 'sv_register 0' "
        '"sv_port $((9000+N))"',
        ready_mib=30,
        anonymous_mib=44,
    ),
    "python": Program(f"python3 -c '{PYTHON}'", ready_mib=8, anonymous_mib=16),
}


@dataclass(frozen=True)
class Measured:
    """All processes of all containers once merging had converged."""

    anonymous_pss_bytes: int
    pss_bytes: int
    rss_bytes: int
    processes: int
    settled: bool
    settle_seconds: float
    ksmd_cpu_seconds: float


def fitting(program: str, containers: int) -> int:
    """Return the processes per container: as many as take two thirds of the memory, at most 32."""
    free_mib = psutil.virtual_memory().available // MIB
    each_mib = PROGRAMS[program].anonymous_mib * containers
    return int(max(1, min(32, free_mib * 2 // 3 // each_mib)))


def command(program: str, processes: int, arm: str) -> list[str]:
    """Return the container's command: a shell that starts the processes, and waits for them."""
    # Each stays as long as its standard input is open, to which nobody writes.
    script = (
        f"N=0; while [ $N -lt {processes} ]; do N=$((N+1)); "
        f"sleep 1000000 | {PROGRAMS[program].line} >/dev/null 2>&1 & done; wait"
    )
    return ["/ksmrun/ksmrun-exec", "--quiet", ARMS[arm], "--", "/bin/sh", "-c", script]


def measure(engine: Engine, program: str, containers: int, processes: int, arm: str) -> Measured:
    """Start the containers one by one, and wait until merging has converged."""
    sampler = FleetSampler()
    before = sampler.complete((), "before")
    with ExitStack() as stack:
        mounts = {"/usr": "/usr", str(launcher_path().parent): "/ksmrun"}
        firsts = [
            stack.enter_context(
                engine.container(f"c{number}", mounts, command(program, processes, arm))
            )
            for number in range(containers)
        ]
        wait_until_grown(firsts, processes, PROGRAMS[program].ready_mib)
        ready = time.monotonic()
        samples = [sampler.complete(firsts, "settling")]
        settled = False
        while time.monotonic() - ready < (QUIET_SECONDS if arm == "off" else SETTLE_SECONDS):
            time.sleep(1)
            samples.append(sampler.complete(firsts, "settling"))
            if arm == "on" and (settled := has_settled(samples)):
                break
        last = samples[-1]
        return Measured(
            anonymous_pss_bytes=last.pss_anonymous_bytes or 0,
            pss_bytes=last.pss_bytes or 0,
            rss_bytes=last.rss_bytes or 0,
            processes=last.processes,
            settled=settled or arm == "off",
            settle_seconds=round(time.monotonic() - ready, 1),
            ksmd_cpu_seconds=(last.ksmd_cpu_seconds or 0) - (before.ksmd_cpu_seconds or 0),
        )


def wait_until_grown(firsts: Sequence[int], processes: int, ready_mib: int) -> None:
    """Wait until all are as large as a ready one, and no longer grow. Raises KsmrunError."""
    deadline, previous = time.monotonic() + START_SECONDS, 0
    while time.monotonic() < deadline:
        sizes = [
            child.memory_info().rss
            for first in firsts
            for child in psutil.Process(first).children(recursive=True)
        ]
        grown = sum(size >= ready_mib * MIB for size in sizes)
        if grown >= processes * len(firsts) and sum(sizes) < previous * 1.01:
            return
        previous = sum(sizes)
        time.sleep(2)
    raise KsmrunError("the containers' processes are not ready", "give it fewer, or look at one")


def row(name: str, arms: dict[str, list[Measured]]) -> str:
    """Return one line of the Markdown table; of rounds the median."""
    middle = {
        arm: {
            field: statistics.median(getattr(run, field) for run in runs)
            for field in ("anonymous_pss_bytes", "pss_bytes", "ksmd_cpu_seconds", "settle_seconds")
        }
        for arm, runs in arms.items()
    }
    off, on = middle["off"], middle["on"]
    cells = [name, f"{arms['on'][0].processes}"]
    for field in ("anonymous_pss_bytes", "pss_bytes"):
        cells += [f"{off[field] / MIB:.0f}", f"{on[field] / MIB:.0f}"]
        cells.append(f"{1 - on[field] / off[field]:.1%}")
    cells += [f"{on['ksmd_cpu_seconds']:.1f}", f"{on['settle_seconds']:.0f}"]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Print a Markdown table. Return the exit code."""
    parser = argparse.ArgumentParser(description="Containers, merging off against on.")
    parser.add_argument("--containers", type=int, default=8)
    parser.add_argument("--processes", type=int, help="in each container; else 32, if they fit")
    parser.add_argument("--rounds", type=int, default=3, help="the table shows medians")
    parser.add_argument("--program", choices=PROGRAMS, default="ddnet")
    parser.add_argument("--engine", action="append", choices=ENGINES)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.processes is None:
        arguments.processes = fitting(arguments.program, arguments.containers)
    names = arguments.engine or list(ENGINES)
    results: dict[str, dict[str, list[Measured]]] = {
        name: {arm: [] for arm in ARMS} for name in names
    }
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp", prefix="kb")))
            engines = {name: stack.enter_context(ready_engine(name, folder)) for name in names}
            stack.enter_context(borrowed(TUNABLES))
            for turn in range(arguments.rounds):
                for name, engine in engines.items():
                    # The first arm finds the host as the other one left it, so they alternate.
                    for arm in ARMS if turn % 2 == 0 else reversed(ARMS):
                        measured = measure(
                            engine,
                            arguments.program,
                            arguments.containers,
                            arguments.processes,
                            arm,
                        )
                        results[name][arm].append(measured)
                        print(f"{name} {arm}: {asdict(measured)}", file=sys.stderr, flush=True)
    except KsmrunError as error:
        print(f"containers: {error}", file=sys.stderr)
        return 1
    print(
        "| engine | processes | anonymous PSS, MiB | merging | saved | PSS, MiB | merging | saved "
        "| ksmd CPU, s | settled after, s |\n" + "|---" * 10 + "|"
    )
    for name, arms in results.items():
        print(row(name, arms))
    if arguments.json is not None:
        runs = {
            name: {arm: [asdict(run) for run in arms[arm]] for arm in arms}
            for name, arms in results.items()
        }
        about = {key: getattr(arguments, key) for key in ("containers", "processes", "program")}
        text = json.dumps({"schema": SCHEMA, **about, "engines": runs}, indent=1)
        arguments.json.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
