"""Measure how small copies of servers in Java become, idle and with users, and what users notice.

.venv/bin/python tests/bench/servers.py [--copies N] [--json FILE] [SERVER]...

Each way to start them is measured on its own copies, which have one layout: memory idle, once
merging has converged and then without it; then users; then memory again, both ways. CPU is that of
the server for one request, p99 the slowest percent of answers; both while nothing is scanned. Needs
root; KSM is restored.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from programs import JAVA, Place
from runtimes import MIB, READY_SECONDS, SETTLE_SECONDS, STAGGER_SECONDS, TUNABLES, ksmrun
from server_programs import SERVERS, Server

from ksmrun.host.temporary_tunables import borrowed
from ksmrun.launch.fleet import Copy, Fleet
from ksmrun.model.errors import KsmrunError
from ksmrun.observe.fleet import FleetSampler
from ksmrun.observe.settle import has_settled

RUN = Path("/sys/kernel/mm/ksm/run")
SCAN, STOP, UNMERGE = "1", "0", "2"
USERS = 4
# Answers of the first share are not counted: classes are loaded and compiled.
WARM_UP_SHARE = 0.5
WAYS = {
    "as they are": ([], False),
    "merge": (["--runtime-flags=merge"], False),
    "shrink": (["--runtime-flags=shrink"], False),
    "shrink, AppCDS": (["--runtime-flags=shrink"], True),
}


@dataclass(frozen=True)
class Result:
    """Anonymous memory of all copies, and what one request costs."""

    idle_bytes: int
    idle_merged_bytes: int
    used_bytes: int
    used_merged_bytes: int
    request_cpu_seconds: float
    answer_p99_seconds: float


def measure(server: Server, options: Sequence[str], archive: Path | None, copies: int) -> Result:
    """Start copies, and look at them idle and after users."""
    with tempfile.TemporaryDirectory(prefix="ksmrun-bench-") as scratch, Fleet() as fleet:
        places = start(server, Path(scratch), fleet, options, archive, copies)
        sampler = FleetSampler()
        idle_merged, idle = both(sampler, fleet)
        cpu, slowest = use(server, places, fleet)
        used_merged, used = both(sampler, fleet)
        return Result(idle, idle_merged, used, used_merged, cpu, slowest)


def start(
    server: Server,
    scratch: Path,
    fleet: Fleet,
    options: Sequence[str],
    archive: Path | None,
    copies: int,
) -> list[Place]:
    """Start the copies, and wait until they are ready."""
    RUN.write_text(STOP)
    shared = scratch / "shared"
    shared.mkdir()
    server.build(shared)
    places = [Place(number, scratch / f"copy-{number}", shared) for number in range(copies)]
    environment = {**os.environ, "KSMRUN_LAYOUT_DIR": f"{scratch}/layout"}
    flags: list[str] = []
    if archive is not None:
        flags = [f"-XX:SharedArchiveFile={archive}"]
        train(server, Place(copies, scratch / "trained", shared), archive)
    for place in places:
        place.folder.mkdir()
        server.prepare(place)
        line = [ksmrun(), "run", "--layout=shared", *options, "--", JAVA, *flags]
        words = (*map(str, line), *server.arguments(place))
        fleet.start(Copy(tuple(map(os.fsencode, words)), place.folder, environment))
        time.sleep(STAGGER_SECONDS)
    for place in places:
        wait_ready(server, place, fleet)
    return places


def train(server: Server, place: Place, archive: Path) -> None:
    """Have one copy, which has had users, write down which classes it used."""
    with Fleet() as fleet:
        place.folder.mkdir()
        server.prepare(place)
        words = [JAVA, f"-XX:ArchiveClassesAtExit={archive}", *server.arguments(place)]
        fleet.start(Copy(tuple(map(os.fsencode, words)), place.folder, dict(os.environ)))
        wait_ready(server, place, fleet)
        user = server.user(place, 0)
        for _ in range(50):
            next(user)
        (pid,) = fleet.pids
        os.kill(pid, signal.SIGTERM)
        psutil.Process(pid).wait(120)
    if not archive.exists():
        raise KsmrunError("no class archive was written", "see the copy's log")


def wait_ready(server: Server, place: Place, fleet: Fleet) -> None:
    """Wait until a copy has said so. Raises KsmrunError."""
    deadline = time.monotonic() + READY_SECONDS
    while server.ready not in (place.folder / "log").read_text("latin-1"):
        fleet.check_alive()
        if time.monotonic() > deadline:
            raise KsmrunError(f"{place.name} is not ready", f"see {place.folder}/log")
        time.sleep(0.05)


def use(server: Server, places: Sequence[Place], fleet: Fleet) -> tuple[float, float]:
    """Have users make requests to each copy. Return CPU seconds of one, and the p99 in seconds."""
    waits: list[float] = []
    cpu = 0.0
    counted = int(server.requests * (1 - WARM_UP_SHARE))
    for place, pid in zip(places, fleet.pids, strict=True):
        users = [server.user(place, number) for number in range(USERS)]
        _together(users, server.requests - counted)
        before = _cpu_seconds(pid)
        waits += _together(users, counted)
        cpu += _cpu_seconds(pid) - before
    requests = len(places) * USERS * counted
    return cpu / requests, statistics.quantiles(waits, n=100)[98]


def _together(users: Sequence[object], requests: int) -> list[float]:
    """Let all users make requests at the same time; return how long each answer took."""
    waits: list[list[float]] = [[] for _ in users]

    def work(number: int) -> None:
        for _ in range(requests):
            begin = time.perf_counter()
            next(users[number])  # type: ignore[call-overload]
            waits[number].append(time.perf_counter() - begin)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(users))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if any(len(own) < requests for own in waits):
        raise KsmrunError("a user got no answer", "see the copies' logs")
    return [wait for own in waits for wait in own]


def _cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def both(sampler: FleetSampler, fleet: Fleet) -> tuple[int, int]:
    """Return the copies' anonymous memory with merging and, at once after it, without."""
    with_merging = merged(sampler, fleet)
    RUN.write_text(UNMERGE)
    return with_merging, anonymous(sampler, fleet)


def anonymous(sampler: FleetSampler, fleet: Fleet) -> int:
    """Return the copies' anonymous memory as PSS, in bytes."""
    return sampler.complete(fleet.pids, "now").pss_anonymous_bytes or 0


def merged(sampler: FleetSampler, fleet: Fleet) -> int:
    """Return the same once merging has converged."""
    RUN.write_text(SCAN)
    samples = [sampler.complete(fleet.pids, "settling")]
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline and not has_settled(samples):
        time.sleep(0.5)
        fleet.check_alive()
        samples.append(sampler.complete(fleet.pids, "settling"))
    return samples[-1].pss_anonymous_bytes or 0


def row(name: str, way: str, result: Result) -> str:
    """Return one line of the Markdown table."""
    idle = (result.idle_bytes, result.idle_merged_bytes)
    sizes = (*idle, result.used_bytes, result.used_merged_bytes)
    cells = [name, way, *(f"{size / MIB:.0f}" for size in sizes)]
    cells += [f"{result.request_cpu_seconds * 1e3:.2f} ms"]
    cells += [f"{result.answer_p99_seconds * 1e3:.1f} ms"]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Print a Markdown table. Return the exit code."""
    parser = argparse.ArgumentParser(description="Servers in Java: merged, and made smaller.")
    parser.add_argument("--copies", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--way", action="append", choices=WAYS, help="all, unless named")
    parser.add_argument("name", nargs="*", help="all, unless named")
    arguments = parser.parse_args()
    if unknown := set(arguments.name) - set(SERVERS):
        parser.error(f"no such server: {', '.join(unknown)}; there are {', '.join(SERVERS)}")
    chosen = {name: SERVERS[name] for name in arguments.name or SERVERS}
    missing = {server.package for server in chosen.values() if not server.file.exists()}
    if missing:
        parser.error(f"not installed; to do: sudo apt-get install {' '.join(sorted(missing))}")
    results: dict[str, dict[str, object]] = {}
    print("| server | started | idle, MiB | merged | after users | merged | CPU | p99 |")
    print("|---|---|---|---|---|---|---|---|")
    try:
        for name, server in chosen.items():
            for way in arguments.way or WAYS:
                options, archives = WAYS[way]
                with tempfile.TemporaryDirectory() as folder, borrowed({**TUNABLES, "run": STOP}):
                    archive = Path(folder) / "classes.jsa" if archives else None
                    result = measure(server, options, archive, arguments.copies)
                print(row(name, way, result), flush=True)
                results.setdefault(name, {})[way] = asdict(result)
                if arguments.json is not None:
                    arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    except KsmrunError as error:
        print(f"servers: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
