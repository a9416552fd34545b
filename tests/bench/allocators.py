"""Compare copies of a C++ game world by allocator: which pages are equal, and what merging saves.

.venv/bin/python tests/bench/allocators.py [--merge] [--way WAY]... [--copies N] [ALLOCATOR]...

Builds world.cpp with each allocator, and starts copies with and without one layout, whose work is
done by one thread, by four with jobs of their own, and by four that take jobs from a queue. Prints
how much of what can be saved would be: which of all anonymous pages have equal contents. KSM is not
needed. --merge: measures with KSM, as runtimes.py does. Needs root.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from differences import read_process
from programs import Place, Program
from runtimes import ARMS, MIB, TUNABLES, cells_of, ksmrun, measure, wait_ready

from ksmrun.facts.pages import PAGE_BYTES
from ksmrun.host.temporary_tunables import borrowed
from ksmrun.launch.fleet import Copy, Fleet
from ksmrun.model.errors import KsmrunError

SOURCE = Path(__file__).with_name("world.cpp")
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")


@dataclass(frozen=True)
class Allocator:
    """Allocator that the world is built with.

    library: of Debian's package, replaces malloc. define: of world.cpp. setting: a variable that
    keeps addresses equal.
    """

    package: str = "g++"
    library: str | None = None
    define: str | None = None
    setting: tuple[str, str] | None = None


MIMALLOC = Allocator("libmimalloc2.0", "libmimalloc.so.2")
ALLOCATORS = {
    "glibc": Allocator(),
    "mimalloc": MIMALLOC,
    "mimalloc, reserved": replace(MIMALLOC, setting=("MIMALLOC_RESERVE_OS_MEMORY", "2G")),
    "jemalloc": Allocator("libjemalloc2", "libjemalloc.so.2"),
    "tcmalloc": Allocator("libtcmalloc-minimal4", "libtcmalloc_minimal.so.4"),
    "TBB malloc": Allocator("libtbbmalloc2", "libtbbmalloc_proxy.so.2"),
    "arenas": Allocator(define="ARENAS"),
    "arenas, reserved": Allocator(define="RESERVED"),
}
WAYS = {"1 thread": ("1", "own"), "4 threads": ("4", "own"), "4, a queue": ("4", "queue")}
LAYOUTS = {"random": "--layout=random", "shared": "--layout=shared"}


@dataclass(frozen=True)
class Equal:
    """Anonymous pages of all copies, and how many of these differ in content."""

    copies: int
    pages: int
    distinct_pages: int

    @property
    def share(self) -> float:
        """Part of what can be saved at most: of N copies, all but one. Empty pages add to it."""
        return (self.pages - self.distinct_pages) / (self.pages * (1 - 1 / self.copies))


def build(allocator: Allocator, folder: Path) -> Path:
    """Build the world with an allocator."""
    program = folder / "world"
    words = ["g++", "-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
    if allocator.define is not None:
        words.append(f"-D{allocator.define}")
    words += ["-o", str(program), str(SOURCE)]
    if allocator.library is not None:
        words += ["-Wl,--no-as-needed", str(LIBRARIES / allocator.library)]
    subprocess.run(words, check=True)
    return program


def environment(allocator: Allocator) -> dict[str, str]:
    """Return this environment with the allocator's setting."""
    return {**os.environ, **dict([] if allocator.setting is None else [allocator.setting])}


def world(program: Path, way: str) -> Program:
    """Return the program with its threads."""
    return Program(
        "g++", str(program), lambda place: [str(program), place.name, *WAYS[way]], "ready copy-"
    )


def equal_pages(program: Program, layout: str, copies: int, variables: Mapping[str, str]) -> Equal:
    """Start copies and compare all of their pages. KSM leaves them alone."""
    with tempfile.TemporaryDirectory(prefix="ksmrun-bench-") as scratch, Fleet() as fleet:
        own = {**variables, "KSMRUN_LAYOUT_DIR": f"{scratch}/layout"}
        places = [Place(n, Path(scratch) / f"copy-{n}", Path(scratch)) for n in range(copies)]
        for place in places:
            place.folder.mkdir()
            line = [str(ksmrun()), "run", "--quiet", layout, "--", *program.command(place)]
            fleet.start(Copy(tuple(map(os.fsencode, line)), place.folder, own))
        wait_ready(fleet, program, places)
        # The last thread has said so before it rests.
        time.sleep(0.5)
        processes = [read_process(pid, 1 << 30) for pid in fleet.pids]
    pages = sum(len(process.pages) for process in processes)
    distinct = {page for process in processes for page in process.pages.values()}
    return Equal(copies, pages, len(distinct))


def row_of_pages(
    program: Program, copies: int, variables: Mapping[str, str]
) -> tuple[list[str], dict[str, object]]:
    """Return the cells and the results of one row."""
    found = {
        name: equal_pages(program, option, copies, variables) for name, option in LAYOUTS.items()
    }
    size = found["shared"].pages * PAGE_BYTES / MIB / copies
    cells = [f"{size:.0f}", *(f"{equal.share:.0%}" for equal in found.values())]
    return cells, {name: asdict(equal) for name, equal in found.items()}


def row_of_memory(
    program: Program, copies: int, variables: Mapping[str, str]
) -> tuple[list[str], dict[str, object]]:
    """Return the same with KSM."""
    with borrowed(TUNABLES):
        found = {
            arm: measure(program, Path(program.file).parent, ARMS[arm], copies, variables)
            for arm in ARMS
        }
    cells = cells_of({arm: [run] for arm, run in found.items()})
    return cells, {arm: asdict(run) for arm, run in found.items()}


def main() -> int:
    """Print a Markdown table. Return the exit code."""
    parser = argparse.ArgumentParser(description="What allocators leave equal.")
    parser.add_argument("--copies", type=int, default=6)
    parser.add_argument("--merge", action="store_true", help="measure with KSM")
    parser.add_argument("--way", action="append", choices=WAYS, help="all, unless named")
    parser.add_argument("--json", type=Path)
    parser.add_argument("name", nargs="*", help="all, unless named")
    arguments = parser.parse_args()
    if unknown := set(arguments.name) - set(ALLOCATORS):
        parser.error(f"no such allocator: {', '.join(unknown)}; there are {', '.join(ALLOCATORS)}")
    chosen = {name: ALLOCATORS[name] for name in arguments.name or ALLOCATORS}
    missing = {
        each.package
        for each in chosen.values()
        if each.library and not (LIBRARIES / each.library).exists()
    }
    if missing:
        parser.error(f"not installed; to do: sudo apt-get install {' '.join(sorted(missing))}")
    titles = ["allocator", "work by", "MiB of a copy", "equal pages", "with one layout"]
    if arguments.merge:
        titles = ["allocator", "work by", "without, MiB", "merging, MiB", "saved"]
        titles += ["and one layout, MiB", "saved"]
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    results: dict[str, dict[str, object]] = {}
    row = row_of_memory if arguments.merge else row_of_pages
    try:
        for name, allocator in chosen.items():
            with tempfile.TemporaryDirectory() as folder:
                program = build(allocator, Path(folder))
                for way in arguments.way or WAYS:
                    cells, result = row(
                        world(program, way), arguments.copies, environment(allocator)
                    )
                    print(f"| {' | '.join([name, way, *cells])} |", flush=True)
                    results.setdefault(name, {})[way] = result
            if arguments.json is not None:
                arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    except KsmrunError as error:
        print(f"allocators: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
