"""Show what merging saves on real programs: copies of each without it, then with it.

Started by quickstart.sh, which installs what this needs.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ksmrun.facts.ksm import read_ksm
from ksmrun.facts.launcher import launcher_path, run_probe
from ksmrun.host.temporary_tunables import borrowed
from ksmrun.launch.fleet import Copy, Fleet
from ksmrun.model.errors import KsmrunError
from ksmrun.model.experiment import FleetSample
from ksmrun.model.launch import MergeMode
from ksmrun.observe.fleet import FleetSampler
from ksmrun.observe.other_mergers import names, others
from ksmrun.observe.settle import has_settled, merged_pages, settle_progress
from ksmrun.plan.mechanism import obstacle_to_merging
from ksmrun.support.words import printable

MIB = 1 << 20
# Copies started within one second can share time-based seeds, which copies on a real host do not.
STAGGER_SECONDS = 1.3
READY_SECONDS = 180.0
SETTLE_SECONDS = 300.0
QUIET_SECONDS = 5.0
# Up to 250,000 pages (977 MiB) a second: fast enough to watch. Both arms run under it.
TUNABLES = {"run": "1", "pages_to_scan": "5000", "sleep_millisecs": "20", "use_zero_pages": "1"}

# WordNet in its intended form: the data files as they are, and an index of offsets into them.
LOAD_WORDNET = """
import json, pathlib, signal
texts, index = {}, {}
for kind in ("noun", "verb", "adj", "adv"):
    texts[kind] = pathlib.Path(f"/usr/share/wordnet/data.{kind}").read_bytes()
    for line in pathlib.Path(f"/usr/share/wordnet/index.{kind}").open():
        if not line.startswith(" "):
            words = line.split()
            index[kind, words[0]] = [int(offset) for offset in words[-int(words[2]) :]]
folder = pathlib.Path("/usr/share/iso-codes/json")
codes = {file.name: json.loads(file.read_text()) for file in folder.glob("iso_*.json")}
print("ready", flush=True)
signal.pause()
"""


@dataclass(frozen=True)
class Program:
    """Program to run copies of: its title, its command for a UDP port, and its ready line."""

    title: str
    file: str
    command: Callable[[int], list[str]]
    ready: str


PROGRAMS = {
    "ddnet": Program(
        "DDNet game server",
        "/usr/games/DDNet-Server",
        lambda port: [
            "/usr/games/DDNet-Server",
            *("sv_ipv4only 1", "bindaddr 127.0.0.1", f"sv_port {port}", "sv_register 0"),
        ],
        "server: version",
    ),
    "openttd": Program(
        "OpenTTD game server",
        "/usr/games/openttd",
        lambda port: [*("/usr/games/openttd", f"-D127.0.0.1:{port}", "-G42", "-g", "-dnet=3")],
        "Initializing UDP listeners",
    ),
    "python": Program(
        "CPython with WordNet",
        "/usr/share/wordnet/data.noun",
        lambda _port: [sys.executable, "-c", LOAD_WORDNET],
        "ready",
    ),
}


@dataclass(frozen=True)
class FleetRun:
    """Complete run of one fleet: the host before any copy started, the fleet when measured."""

    name: str
    merge: MergeMode
    before: FleetSample
    measured: FleetSample
    settled: bool
    settle_seconds: float


def main() -> int:
    """Run the chosen programs and print one table. Return the exit code."""
    # SIGHUP and SIGTERM are handled like Ctrl-C: the fleet stops, and KSM is restored.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    parser = argparse.ArgumentParser(description="Show what merging saves on real programs.")
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--program", action="append", choices=PROGRAMS, help="all, unless named")
    arguments = parser.parse_args()
    if arguments.copies < 1:
        parser.error("--copies takes a number from 1")
    console = Console(width=None if sys.stdout.isatty() else 120)
    chosen = [PROGRAMS[name] for name in arguments.program or PROGRAMS]
    present = [program for program in chosen if Path(program.file).exists()]
    for program in chosen:
        if program not in present:
            console.print(f"left out: {program.title}; {program.file} is not installed")
    try:
        with ksm_on(console) as can_merge:
            arms = (MergeMode.OFF, MergeMode.ON) if can_merge else (MergeMode.OFF,)
            results = []
            for program in present:
                warm_up(program)
                results += [run_arm(console, program, arm, arguments.copies) for arm in arms]
    except KsmrunError as error:
        console.print(f"quickstart: {error}", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("quickstart: interrupted; every copy is stopped, KSM is as it was")
        return 130
    print_results(console, results, arguments.copies)
    return 0


@contextlib.contextmanager
def ksm_on(console: Console) -> Iterator[bool]:
    """Switch KSM on for the block, if this user may; yield whether memory can merge."""
    obstacle = obstacle_to_merging(run_probe())
    if obstacle is not None:
        console.print(
            f"memory will not merge: {obstacle[0]}; to do: {obstacle[1]}; only the memory without "
            "merging is shown"
        )
        yield False
        return
    ksm = read_ksm()
    if strangers := others(()):
        console.print(
            f"note: other programs merge on this host too: {printable(names(strangers))}; the "
            "counters include them",
            markup=False,
            highlight=False,
        )
    why = "not root" if ksm.present else "/sys/kernel/mm/ksm is not there"
    with contextlib.ExitStack() as stack:
        if os.geteuid() == 0 and ksm.present:
            known = {name: value for name, value in TUNABLES.items() if name in ksm.values}
            if ksm.values.get("advisor_mode", "none") != "none":
                known = {"advisor_mode": "none", **known}
            try:
                stack.enter_context(borrowed(known))
                why = ""
            except KsmrunError as error:
                # As in most containers, where /sys is read-only.
                why = f"KSM cannot be set here: {error}"
        is_on = read_ksm().run == 1
        if why and is_on:
            console.print(
                f"{why}: KSM stays as it is set, which may take long to settle", highlight=False
            )
        elif why:
            console.print(
                f"{why}, and KSM is off: only the memory without merging can be shown; "
                f"to do: sudo {Path(sys.prefix) / 'bin/ksmrun'} host on, on the host",
                highlight=False,
            )
        yield is_on


def warm_up(program: Program) -> None:
    """Start and stop one copy, so that reading its files from disk counts for neither arm."""
    with tempfile.TemporaryDirectory(prefix="ksmrun-quickstart-") as scratch, Fleet() as fleet:
        fleet.start(copy(program, MergeMode.OFF, Path(scratch)))
        wait_ready(fleet, program, [Path(scratch)])


def wait_ready(fleet: Fleet, program: Program, folders: Sequence[Path]) -> None:
    """Wait until each copy has printed its ready line. Raises KsmrunError."""
    deadline = time.monotonic() + READY_SECONDS
    while not all(program.ready.encode() in (folder / "log").read_bytes() for folder in folders):
        fleet.check_alive()
        if time.monotonic() > deadline:
            raise KsmrunError(
                f"{program.title} is not ready after {READY_SECONDS:.0f} s; "
                f"its output ends: {fleet.tail(fleet.pids[-1])}",
                "start the program by hand to see what it waits for",
            )
        time.sleep(0.05)


def run_arm(console: Console, program: Program, arm: MergeMode, copies: int) -> FleetRun:
    """Run one fleet from start to stop, with a progress bar for each phase."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    name = f"{program.title}, merging {arm.value}"
    is_plain = not console.is_terminal
    if is_plain:
        console.print(f"{name}: starting {copies} copies, then measuring")
    with (
        tempfile.TemporaryDirectory(prefix="ksmrun-quickstart-") as scratch,
        Fleet() as fleet,
        Progress(*columns, console=console, transient=True, disable=is_plain) as progress,
    ):
        sampler = FleetSampler()
        before = sampler.complete((), "before")
        task = progress.add_task(f"{name}: starting", total=copies)
        folders = [Path(scratch) / str(number) for number in range(copies)]
        for folder in folders:
            folder.mkdir()
            fleet.start(copy(program, arm, folder))
            progress.advance(task)
            time.sleep(STAGGER_SECONDS)
        progress.update(task, description=f"{name}: waiting until all are ready", total=None)
        wait_ready(fleet, program, folders)
        ready = time.monotonic()
        samples = []
        while True:
            fleet.check_alive()
            samples.append(sampler.complete(fleet.pids, "settling"))
            waited = time.monotonic() - ready
            if arm is MergeMode.OFF:
                done, share, settled = waited >= QUIET_SECONDS, waited / QUIET_SECONDS, True
            else:
                settled = has_settled(samples)
                done, share = settled or waited >= SETTLE_SECONDS, settle_progress(samples)
            progress.update(task, description=f"{name}: settling", total=1, completed=share)
            if done:
                return FleetRun(name, arm, before, samples[-1], settled, waited)
            time.sleep(0.5)


def copy(program: Program, arm: MergeMode, folder: Path) -> Copy:
    """Return one copy, with a folder and a port of its own on the loopback address."""
    environment = {**os.environ, "HOME": str(folder)}
    command = program.command(free_udp_port())
    options = (f"--merge={arm.value}", "--quiet")
    words = [str(launcher_path()), *options, "--", *command]
    return Copy(tuple(os.fsencode(word) for word in words), folder, environment)


def free_udp_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def print_results(console: Console, results: list[FleetRun], copies: int) -> None:
    """Print one table; the saved share is of PSS, which splits a shared page among its users."""
    table = Table(title=f"{copies} copies of each program, MiB", title_justify="left")
    table.add_column("program")
    for column in ("RSS", "PSS", "anonymous PSS", "MemAvailable taken", "pages merged"):
        table.add_column(column, justify="right")
    table.add_column("ksmd CPU s", justify="right")
    table.add_column("settled after s", justify="right")
    for result in results:
        before, after = result.before, result.measured
        is_on = result.merge is MergeMode.ON
        table.add_row(
            result.name,
            *(mib(size) for size in (after.rss_bytes, after.pss_bytes, after.pss_anonymous_bytes)),
            mib((before.mem_available_bytes or 0) - (after.mem_available_bytes or 0)),
            str(merged_pages(after) - merged_pages(before)) if is_on else "-",
            f"{(after.ksmd_cpu_seconds or 0) - (before.ksmd_cpu_seconds or 0):.1f}"
            if is_on
            else "-",
            f"{result.settle_seconds:.0f}{'' if result.settled else ' (not yet)'}"
            if is_on
            else "-",
        )
    console.print(table)
    for off, on in itertools.pairwise(results):
        if off.merge is MergeMode.OFF and on.merge is MergeMode.ON:
            console.print(verdict(off, on), highlight=False)


def verdict(off: FleetRun, on: FleetRun) -> str:
    """Return a sentence that says what merging saved."""
    without, with_ = (each.measured.pss_anonymous_bytes or 0 for each in (off, on))
    taken = [
        (r.before.mem_available_bytes or 0) - (r.measured.mem_available_bytes or 0)
        for r in (off, on)
    ]
    share = f"{1 - with_ / without:.0%} saved" if without else "not counted by this kernel"
    return (
        f"{on.name.partition(',')[0]}: anonymous memory {mib(without)} -> {mib(with_)} MiB "
        f"({share}); MemAvailable gained: {mib(taken[0] - taken[1])} MiB"
    )


def mib(size_bytes: int | None) -> str:
    """Return whole MiB; "-" if this kernel does not count it."""
    return "-" if size_bytes is None else f"{size_bytes / MIB:.0f}"


if __name__ == "__main__":
    sys.exit(main())
