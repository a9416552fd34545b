"""Measure what merging saves on runtimes and servers, and what one address layout adds.

Starts copies of each through `ksmrun run`, 1.3 s apart, with different arguments. Needs root; KSM
is restored.

.venv/bin/python tests/bench/runtimes.py [--copies N] [--repeats N] [--json FILE] [NAME]...

Each program's result is saved to FILE at once, beside those of other programs and versions;
chart.py draws them. All programs are Debian's: for those that are missing, the package is named.
KSMRUN_BENCH_JAVA, KSMRUN_BENCH_NODE and KSMRUN_BENCH_GO name other executables (README.md).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from programs import GO, OPTIONAL, PROGRAMS, USUAL, Place, Program

from ksmrun.facts.ksm import ROOT
from ksmrun.host.temporary_tunables import borrowed
from ksmrun.host.tunables import current, path_of
from ksmrun.launch.fleet import Copy, Fleet
from ksmrun.model.errors import KsmrunError
from ksmrun.observe.fleet import FleetSampler
from ksmrun.observe.settle import has_settled

SCHEMA = "ksmrun-runtimes-2"
STAGGER_SECONDS, READY_SECONDS, SETTLE_SECONDS, QUIET_SECONDS = 1.3, 180.0, 120.0, 5.0
# smart_scan skips pages for up to eight scans in a row (ideal.py).
SCANS_MIN = 12
# On an idle machine these take less time than programs need to calm down.
SECONDS_MIN = 20.0
# A busy machine would otherwise decide how much merges in SETTLE_SECONDS.
TUNABLES = {
    **{"run": "1", "pages_to_scan": "5000", "sleep_millisecs": "20", "use_zero_pages": "1"},
    "ksmd/nice": "-5",
}
ARMS = {"off": ["--merge=off"], "plain": [], "shared": ["--layout=shared"]}
VERSIONS = {
    "nodejs": r"(\d+)",
    "openjdk-17-jdk-headless": r"(\d+)",
    "golang-go": r"go(\d+\.\d+)",
}
MIB = 1 << 20


@dataclass(frozen=True)
class Measured:
    """One fleet once merging had converged.

    ready_cpu_seconds: what the copies took until all were ready, so a start and a unit of work
    each. said: what ksmrun printed.
    """

    anonymous_pss_bytes: int
    rss_bytes: int
    processes: int
    settled: bool
    settle_seconds: float
    ksmd_cpu_seconds: float
    ready_cpu_seconds: float
    same_addresses: bool
    said: tuple[str, ...]


def measure(
    program: Program,
    shared: Path,
    options: list[str],
    copies: int,
    environment: Mapping[str, str] = os.environ,
    look: Callable[[Sequence[int]], None] = lambda _pids: None,
) -> Measured:
    """Start the copies as a user does, give them work, and wait until merging has converged.

    look: called with the processes at the end, while they are still running.
    """
    with tempfile.TemporaryDirectory(prefix="ksmrun-bench-") as scratch, Fleet() as fleet:
        sampler = FleetSampler()
        before = sampler.complete((), "before")
        places = started(fleet, program, Path(scratch), shared, options, copies, environment)
        ready = time.monotonic()
        samples = [sampler.complete(fleet.pids, "settling")]
        is_off, settled = "--merge=off" in options, False
        while time.monotonic() - ready < (QUIET_SECONDS if is_off else SETTLE_SECONDS):
            time.sleep(0.5)
            fleet.check_alive()
            check_undisturbed()
            samples.append(sampler.complete(fleet.pids, "settling"))
            scans = (samples[-1].full_scans or 0) - (samples[0].full_scans or 0)
            is_long = scans >= SCANS_MIN and time.monotonic() - ready >= SECONDS_MIN
            if not is_off and (settled := is_long and has_settled(samples)):
                break
        last = samples[-1]
        look(fleet.pids)
        return Measured(
            anonymous_pss_bytes=last.pss_anonymous_bytes or 0,
            rss_bytes=last.rss_bytes or 0,
            processes=last.processes,
            settled=settled or is_off,
            settle_seconds=round(time.monotonic() - ready, 1),
            ksmd_cpu_seconds=(last.ksmd_cpu_seconds or 0) - (before.ksmd_cpu_seconds or 0),
            ready_cpu_seconds=samples[0].cpu_seconds,
            same_addresses=len({addresses(pid) for pid in fleet.pids}) == 1,
            said=tuple(sorted({line for place in places for line in own_lines(place)})),
        )


def started(
    fleet: Fleet,
    program: Program,
    scratch: Path,
    shared: Path,
    options: Sequence[str],
    copies: int,
    environment: Mapping[str, str] = os.environ,
) -> list[Place]:
    """Start the copies one after the other, wait until they are ready, and give them work.

    shared: what program.build() has made. options: of `ksmrun run`. Raises KsmrunError.
    """
    # Every run has its own layout: lucky and unlucky ones show as noise.
    variables = {**environment, "KSMRUN_LAYOUT_DIR": str(scratch / "layout")}
    more = program.layout_options if "--layout=shared" in options else ()
    places = [Place(number, scratch / f"copy-{number}", shared) for number in range(copies)]
    for place in places:
        place.folder.mkdir()
        program.prepare(place)
        line = [str(ksmrun()), "run", *options, *more, "--", *program.command(place)]
        home = {**variables, "HOME": str(place.folder), **program.variables}
        fleet.start(Copy(tuple(os.fsencode(word) for word in line), place.folder, home))
        time.sleep(STAGGER_SECONDS)
    wait_ready(fleet, program, places)
    for place in places:
        program.load(place)
    return places


def check_undisturbed() -> None:
    """Raise KsmrunError if another program has changed KSM meanwhile."""
    for name, wanted in TUNABLES.items():
        found = current(ROOT, path_of(name))
        if found != wanted:
            raise KsmrunError(
                f"another program has set {name} to {found} during the measurement",
                "end it, and measure again",
            )


def wait_ready(fleet: Fleet, program: Program, places: Sequence[Place]) -> None:
    """Wait until each copy has printed its ready line. Raises KsmrunError."""
    deadline = time.monotonic() + READY_SECONDS
    while not all(program.ready in (place.folder / "log").read_text("latin-1") for place in places):
        fleet.check_alive()
        if time.monotonic() > deadline:
            raise KsmrunError(
                f"some copies are not ready after {READY_SECONDS:.0f} s",
                "start the program by hand to see what it waits for",
            )
        time.sleep(0.05)


def ksmrun() -> Path:
    """Return the command beside this Python."""
    return Path(sys.executable).with_name("ksmrun")


def addresses(pid: int) -> tuple[str, str, str]:
    """Return the start of the program and of its heap, and the end of its stack."""
    folder = Path(f"/proc/{pid}")
    lines = [line.split(maxsplit=5) for line in (folder / "maps").read_text().splitlines()]
    # The first mapping of each name; the stack's start depends on its growth.
    ranges = {words[5]: words[0].split("-") for words in reversed(lines) if len(words) == 6}
    program = ranges[str((folder / "exe").readlink())]
    heap, stack = (ranges.get(name, ["", ""]) for name in ("[heap]", "[stack]"))
    return program[0], heap[0], stack[1]


def own_lines(place: Place) -> list[str]:
    """Return what ksmrun printed at the start of a copy."""
    text = (place.folder / "log").read_text("latin-1")
    return [line for line in text.splitlines() if line.startswith("ksmrun")]


def version(program: Program) -> str:
    """Return Debian's version, or what another executable prints."""
    asked = ["dpkg-query", "-W", "-f", "${Version}", program.package]
    others = {"nodejs": "KSMRUN_BENCH_NODE", "openjdk-17-jdk-headless": "KSMRUN_BENCH_JAVA"}
    if others.get(program.package, "") in os.environ:
        asked = [program.file, "--version"]
    if program.file == GO:
        asked = [GO, "version"]
    said = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True).stdout
    return said.splitlines()[0]


def title(name: str, program: Program) -> str:
    """Return the name with the version of what there are several of: "Java 25, with flags"."""
    pattern = VERSIONS.get(program.package)
    if pattern is None:
        return name
    found = re.search(pattern, version(program))
    assert found is not None
    runtime, *rest = name.split(", ")
    return ", ".join([f"{runtime} {found[1]}", *rest])


def host() -> dict[str, object]:
    """Return what a reader needs to know about this machine."""
    return {
        "kernel": platform.release(),
        "cpus": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
    }


def row(name: str, arms: Mapping[str, Sequence[Measured]], copies: int) -> str:
    """Return one line of the Markdown table."""
    cells = [name, *cells_of(arms)]
    cells[-1] = f"**{cells[-1]}**"
    cells += [f"{cpu_of_copy(arms[arm], copies):.2f}" for arm in ("off", "shared")]
    return f"| {' | '.join(cells)} |"


def cells_of(arms: Mapping[str, Sequence[Measured]]) -> list[str]:
    """Return MiB without merging, then of each other arm MiB and what it saved; of repeats medians.

    "or more": merging had not converged.
    """
    sizes = {arm: statistics.median(run.anonymous_pss_bytes for run in arms[arm]) for arm in arms}
    off = sizes.pop("off")
    cells = [f"{off / MIB:.0f}"]
    for arm, size in sizes.items():
        more = "" if all(run.settled for run in arms[arm]) else " or more"
        cells += [f"{size / MIB:.0f}", f"{1 - size / off:.0%}{more}"]
    return cells


def cpu_of_copy(runs: Sequence[Measured], copies: int) -> float:
    """Return the CPU seconds of one copy until it was ready; of repeats the median."""
    return statistics.median(run.ready_cpu_seconds for run in runs) / copies


def save(file: Path, titled: str, result: dict[str, Any]) -> None:
    """Save one program's result in the file, in the order of the table."""
    saved: dict[str, Any] = {"schema": SCHEMA, "programs": {}}
    if file.exists():
        saved = json.loads(file.read_text())
    found = {**saved["programs"], titled: result}
    order = list(PROGRAMS)
    places = {name: (order.index(found[name]["program"]), name) for name in found}
    saved["programs"] = {name: found[name] for name in sorted(found, key=places.__getitem__)}
    file.write_text(json.dumps(saved, indent=1) + "\n")


def main() -> int:
    """Print a Markdown table. Return the exit code: 1 if a layout was not applied."""
    parser = argparse.ArgumentParser(description="Plain merging against one address layout.")
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=1, help="the table shows medians")
    parser.add_argument("--json", type=Path)
    parser.add_argument("name", nargs="*", help="all, unless named")
    arguments = parser.parse_args()
    if unknown := set(arguments.name) - set(PROGRAMS):
        parser.error(f"no such program: {', '.join(unknown)}; there are {', '.join(PROGRAMS)}")
    chosen = {name: PROGRAMS[name] for name in arguments.name or USUAL}
    if absent := {OPTIONAL[name] for name in chosen if name in OPTIONAL} - set(os.environ):
        parser.error(f"set {' and '.join(sorted(absent))}; see README.md")
    missing = {p.package for p in chosen.values() if not Path(p.file).exists()}
    if missing:
        parser.error(f"not installed; to do: sudo apt-get install {' '.join(sorted(missing))}")
    strays = []
    titles = ["program", "anonymous PSS, MiB", "merging", "saved", "and one layout", "saved"]
    print(f"| {' | '.join([*titles, 'CPU of a copy, s', 'with one layout'])} |\n|{'---|' * 8}")
    try:
        for name, program in chosen.items():
            titled = title(name, program)
            arms: dict[str, list[Measured]] = {arm: [] for arm in ARMS}
            with tempfile.TemporaryDirectory() as shared, borrowed(TUNABLES):
                program.build(Path(shared))
                for arm, options in list(ARMS.items()) * arguments.repeats:
                    arms[arm].append(measure(program, Path(shared), options, arguments.copies))
            print(row(titled, arms, arguments.copies), flush=True)
            if not all(run.same_addresses for run in arms["shared"]):
                strays.append(name)
                said = "; ".join(arms["shared"][0].said)
                print(f"runtimes: {name} does not have one layout: {said}", file=sys.stderr)
            if arguments.json is not None:
                runs = {arm: [asdict(run) for run in arms[arm]] for arm in ARMS}
                about = {"program": name, "version": version(program)}
                about |= {"copies": arguments.copies, "host": host()}
                save(arguments.json, titled, {**about, "arms": runs})
    except KsmrunError as error:
        print(f"runtimes: {error}", file=sys.stderr)
        return 1
    return 1 if strays else 0


if __name__ == "__main__":
    sys.exit(main())
