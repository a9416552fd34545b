"""Find out whether ksmd's full scans would be cheaper if kinds of memory were left unmarked.

Compares the anonymous pages of copies of a program by content. Needs root; switches no KSM.

.venv/bin/python tests/bench/kinds.py PID...                         # of copies that are running
.venv/bin/python tests/bench/kinds.py --program NAME... [--later S]  # started as in runtimes.py

Shows for each kind of VMA what is resident, and the share of pages that have an equal page in any
copy. Then how much cheaper a full scan would be without any page that has no equal, which KSM
cannot do, and without the kinds of VMA, or the VMAs of each copy, that merge least: as many as
lose this share of the saving at most. --costs: of an equal and of another page, in microseconds
(smart_scan=1 in passes.py --own 0 and --own 1).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from differences import Mapping, resident
from programs import PROGRAMS
from runtimes import MIB, started

from ksmrun.facts import smaps
from ksmrun.facts.pages import PAGE_BYTES
from ksmrun.launch.fleet import Fleet

ARENA_BYTES = 64 * MIB  # HEAP_MAX_SIZE in glibc's malloc/arena.c
SIZES = {MIB: "mmap < 1 MiB", 8 * MIB: "mmap < 8 MiB", 64 * MIB: "mmap < 64 MiB"}
LOSSES = (0.02, 0.05)
ARMS = {"random": ("--merge=off",), "shared": ("--merge=off", "--layout=shared")}


@dataclass(frozen=True)
class Vma:
    """A VMA of one copy, and the hashes of its resident anonymous pages."""

    kind: str
    pages: list[int]


@dataclass(frozen=True)
class Scan:
    """Pages of a full scan. saved: pages that merging frees."""

    equal: int
    other: int
    saved: int

    def seconds(self, costs: Sequence[float]) -> float:
        """Return what ksmd takes for it."""
        return (self.equal * costs[0] + self.other * costs[1]) / 1e6


def read_copy(pid: int) -> Iterator[Vma]:
    """Yield the VMAs that have anonymous pages. Raises OSError."""
    folder = Path("/proc") / str(pid)
    stacks = list(stack_pointers(folder))
    with (folder / "pagemap").open("rb", 0) as pagemap, (folder / "mem").open("rb", 0) as memory:
        for vma in smaps.read_vmas(folder):
            if not vma.sizes["anonymous_bytes"] or b"sh" in vma.flags:
                continue
            has_stack = any(vma.start <= pointer < vma.end for pointer in stacks)
            mapping = Mapping(vma.start, vma.end, "")
            places = resident([mapping], pagemap.fileno())
            pages = [hash(os.pread(memory.fileno(), PAGE_BYTES, place)) for place in places]
            if pages:
                yield Vma(kind_of(vma, has_stack), pages)


def stack_pointers(folder: Path) -> Iterator[int]:
    """Yield the stack pointer of each thread that is not running just now (proc_pid_syscall(5))."""
    for task in (folder / "task").iterdir():
        words = (task / "syscall").read_text().split()
        if len(words) > 2:
            yield int(words[-2], 16)


def kind_of(vma: smaps.Vma, has_stack: bool) -> str:
    """Return what a launcher or a shim could know of a VMA."""
    size = vma.end - vma.start
    if vma.name.startswith(b"/"):
        return "private data of files"
    if vma.name:
        return vma.name.decode("ascii", "backslashreplace")
    if has_stack:
        return "stacks of threads"
    if b"ex" in vma.flags:
        return "generated code"
    if vma.start % ARENA_BYTES == 0 and size <= ARENA_BYTES:
        return "arenas of malloc"
    return next((text for limit, text in SIZES.items() if size < limit), "mmap >= 64 MiB")


def scan_of(groups: Sequence[Sequence[int]]) -> Scan:
    """Return a full scan of these groups of pages."""
    counts = Counter(page for group in groups for page in group)
    total, alone = counts.total(), sum(count == 1 for count in counts.values())
    return Scan(total - alone, alone, total - len(counts))


def without_least(groups: Sequence[Sequence[int]], loss: float) -> Scan:
    """Return a full scan without the groups that merge least; loss: share of the saving at most."""
    counts = Counter(page for group in groups for page in group)
    budget = int((counts.total() - len(counts)) * loss)
    kept = []
    for group in sorted(groups, key=lambda group: sum(counts[p] > 1 for p in group) / len(group)):
        own = Counter(group)
        # What is saved is each page but the first of each content.
        lost = sum(min(number, counts[page] - 1) for page, number in own.items())
        if lost > budget:
            kept.append(group)
            continue
        budget -= lost
        counts.subtract(own)
    return scan_of(kept)


def report(copies: Sequence[Sequence[Vma]], costs: Sequence[float]) -> Iterator[str]:
    """Yield the lines to print."""
    vmas = [vma for copy in copies for vma in copy]
    kinds: dict[str, list[int]] = {}
    for vma in vmas:
        kinds.setdefault(vma.kind, []).extend(vma.pages)
    counts = Counter(page for vma in vmas for page in vma.pages)
    everything = scan_of([vma.pages for vma in vmas])
    yield "| kind | MiB a copy | equal | of all that has no equal |\n|---|---|---|---|"
    for kind, pages in sorted(kinds.items(), key=lambda item: -len(item[1])):
        other = sum(counts[page] == 1 for page in pages)
        mib = len(pages) * PAGE_BYTES / MIB / len(copies)
        share = other / max(1, everything.other)
        yield f"| {kind} | {mib:.1f} | {1 - other / len(pages):.0%} | {share:.0%} |"
    saved = everything.saved / (everything.equal + everything.other)
    yield f"\n{everything.equal} equal and {everything.other} other pages; {saved:.1%} can be saved"
    ways = {"any page that has no equal": Scan(everything.equal, 0, everything.saved)}
    for loss in LOSSES:
        for unit, groups in (("kinds", list(kinds.values())), ("VMAs", [v.pages for v in vmas])):
            ways[f"the {unit} that merge least, {loss:.0%}"] = without_least(groups, loss)
    for way, scan in ways.items():
        factor = everything.seconds(costs) / max(1e-9, scan.seconds(costs))
        lost = 1 - scan.saved / max(1, everything.saved)
        rest = f"{scan.equal} equal and {scan.other} other pages left"
        yield f"without {way}: {factor:.2f} times cheaper, {lost:.1%} lost; {rest}"


def of_program(name: str, arm: str, options: argparse.Namespace) -> None:
    """Start copies that do not merge; print the report when they are ready, and again later."""
    program = PROGRAMS[name]
    with tempfile.TemporaryDirectory(prefix="ksmrun-bench-") as scratch, Fleet() as fleet:
        shared = Path(scratch) / "shared"
        shared.mkdir()
        program.build(shared)
        started(fleet, program, Path(scratch), shared, ARMS[arm], options.copies)
        for seconds in (0.0, options.later) if options.later else (0.0,):
            time.sleep(seconds)
            fleet.check_alive()
            print(f"\n## {name}, {arm} layout, {seconds:.0f} s after all were ready\n")
            found = [list(read_copy(pid)) for pid in fleet.pids]
            print("\n".join(report(found, options.costs)), flush=True)


def main() -> None:
    """Print the reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pid", nargs="*", type=int, help="of each copy")
    parser.add_argument("--program", nargs="+", default=[], choices=PROGRAMS, metavar="NAME")
    parser.add_argument("--copies", type=int, default=6)
    parser.add_argument("--later", type=float, default=0.0, help="seconds")
    parser.add_argument("--costs", type=float, nargs=2, default=(0.31, 2.75))
    options = parser.parse_args()
    if options.pid:
        found = [list(read_copy(pid)) for pid in options.pid]
        print("\n".join(report(found, options.costs)))
    for name in options.program:
        for arm in ARMS:
            of_program(name, arm, options)


if __name__ == "__main__":
    main()
