"""Measure what flags or variables of a runtime gain with one address layout, and what they cost.

.venv/bin/python tests/bench/flags.py [--copies N] [--repeats N] NAME -- VARIANT...

NAME is one of runtimes.py. A VARIANT is one argument: variables, then flags, as in
"MALLOC_ARENA_MAX=1" or "--random-seed=1 --single-threaded". Each is compared with the unchanged
program. Memory is that of the copies under one layout once merging has converged (needs root). Time
is that of the work in wordnet/, done ten times in one process without ksmrun, for runtimes that
print it: the variants run by turns, and the result is the median of the ratios within a turn.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from programs import PROGRAMS, Place, Program, with_flags
from runtimes import ARMS, TUNABLES, cells_of, measure

from ksmrun.host.temporary_tunables import borrowed
from ksmrun.model.errors import KsmrunError

TIMES = "10"


@dataclass(frozen=True)
class Variant:
    """Program with some flags, and its environment."""

    text: str
    program: Program
    environment: dict[str, str]


@dataclass(frozen=True)
class Cost:
    """Elapsed seconds as the program counts them, and CPU seconds; or ratios of them."""

    clock: float
    cpu: float


def parse(program: Program, text: str) -> Variant:
    """Parse the words of a variant; variables come first."""
    words = text.split()
    variables = [word for word in words if not word.startswith("-") and "=" in word]
    environment = {**os.environ, **dict(word.split("=", 1) for word in variables)}
    return Variant(text, with_flags(program, *words[len(variables) :]), environment)


def run(variant: Variant, place: Place) -> Cost:
    """Run the work of wordnet/ several times in one process."""
    command = [*variant.program.command(place), TIMES]
    process = subprocess.Popen(
        command, env=variant.environment, cwd=place.folder, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise KsmrunError(f"{command} ended with {process.returncode}", "start it by hand")
    return Cost(float(said), usage.ru_utime + usage.ru_stime)


def costs(variants: list[Variant], shared: Path, repeats: int) -> list[Cost]:
    """Return each variant's median ratios to the first one."""
    turns: list[list[Cost]] = []
    with tempfile.TemporaryDirectory(prefix="ksmrun-bench-") as folder:
        place = Place(0, Path(folder), shared)
        for turn in range(repeats):
            # Each is equally often the first in a turn, which is a disadvantage.
            order = [(turn + step) % len(variants) for step in range(len(variants))]
            found = {number: run(variants[number], place) for number in order}
            seconds = [found[number] for number in range(len(variants))]
            base = seconds[0]
            turns.append([Cost(own.clock / base.clock, own.cpu / base.cpu) for own in seconds])
    return [
        Cost(statistics.median(r.clock for r in ratios), statistics.median(r.cpu for r in ratios))
        for ratios in zip(*turns, strict=True)
    ]


def memory(variant: Variant, shared: Path, copies: int) -> list[str]:
    """Return the cells for the copies' memory without merging, and with it under one layout."""
    if copies == 0:
        return ["-", "-", "-"]
    return cells_of(
        {
            arm: [measure(variant.program, shared, ARMS[arm], copies, variant.environment)]
            for arm in ("off", "shared")
        }
    )


def main() -> int:
    """Print a Markdown table. Return the exit code."""
    parser = argparse.ArgumentParser(description="What a runtime's flags gain and cost.")
    parser.add_argument("--copies", type=int, default=8, help="0: no look at memory")
    parser.add_argument("--repeats", type=int, default=5, help="0: no look at time")
    parser.add_argument("name", choices=PROGRAMS)
    parser.add_argument("variant", nargs="+")
    arguments = parser.parse_args()
    program = PROGRAMS[arguments.name]
    variants = [parse(program, text) for text in ["", *arguments.variant]]
    repeats = arguments.repeats if program.is_timed else 0
    print(f"| {arguments.name} | anonymous PSS, MiB | merged | saved | time | CPU |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        shared = Path(folder)
        program.build(shared)
        try:
            ratios = costs(variants, shared, repeats) if repeats else [None] * len(variants)
            with borrowed(TUNABLES) if arguments.copies else contextlib.nullcontext():
                for variant, ratio in zip(variants, ratios, strict=True):
                    cells = [f"`{variant.text}`", *memory(variant, shared, arguments.copies)]
                    cells += [f"x{ratio.clock:.2f}", f"x{ratio.cpu:.2f}"] if ratio else ["-", "-"]
                    print(f"| {' | '.join(cells)} |", flush=True)
        except KsmrunError as error:
            print(f"flags: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
