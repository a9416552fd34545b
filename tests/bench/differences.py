"""Compare the anonymous pages of two processes: what is equal, and what the other words are.

tests/bench/differences.py PID PID [--mib 1024] [--words 16] [--top 12]

Needs root. Only reads: the processes go on meanwhile, so let them rest. Pages are "elsewhere" if
the other process has the same bytes at another address, and "shifted" if most of a page is found
there by an offset that is no multiple of a page ("mostly equal elsewhere": by one that is). Of
pages that differ in a few words, each pair of words is classified by what the two values are in
their own process.
"""

from __future__ import annotations

import argparse
import os
import struct
import sys
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ksmrun.facts.pages import ENTRY_BYTES, FILE_OR_SHARED, PAGE_BYTES, PRESENT

WORD_BYTES, MIB = 8, 1 << 20
ZERO = bytes(PAGE_BYTES)
# A window is found again wherever malloc may have moved it. Probes: windows looked up for a page.
WINDOW_BYTES, STEP_BYTES, PROBES = 32, 16, 8
SHIFTED_PAGES_MAX = 8192
COUNTER_DISTANCE, DAY = 1 << 16, 86400
# Units that clocks count in.
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class Mapping:
    """A line of /proc/PID/maps."""

    start: int
    end: int
    name: str
    is_accessible: bool = True


@dataclass
class Process:
    """A process's mappings and its resident anonymous pages, by address."""

    pid: int
    mappings: list[Mapping]
    pages: dict[int, bytes] = field(default_factory=dict)
    is_cut: bool = False

    def mapping_at(self, address: int) -> Mapping | None:
        index = bisect_right(self.mappings, address, key=lambda mapping: mapping.start) - 1
        found = self.mappings[index] if index >= 0 else None
        return found if found is not None and address < found.end else None


@dataclass
class Result:
    """Numbers of pages of the first process, and the pairs of words that differ."""

    pages: Counter[str] = field(default_factory=Counter)
    by_mapping: Counter[tuple[str, str]] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[int, int]] = field(default_factory=Counter)


def mappings_of(text: str) -> list[Mapping]:
    """Parse /proc/PID/maps; a mapping without a name has the name "anonymous"."""
    found = []
    for line in text.splitlines():
        words = line.split(maxsplit=5)
        start, end = (int(part, 16) for part in words[0].split("-"))
        name = Path(words[5]).name if len(words) == 6 else "anonymous"
        name = name.encode("ascii", "backslashreplace").decode()
        found.append(Mapping(start, end, name, not words[1].startswith("---")))
    return found


def read_process(pid: int, limit_bytes: int) -> Process:
    """Read up to that much of a process's anonymous memory. Raises OSError."""
    folder = Path("/proc") / str(pid)
    process = Process(pid, mappings_of((folder / "maps").read_text(errors="replace")))
    with (folder / "pagemap").open("rb", 0) as pagemap, (folder / "mem").open("rb", 0) as memory:
        for address in resident(process.mappings, pagemap.fileno()):
            if len(process.pages) * PAGE_BYTES >= limit_bytes:
                process.is_cut = True
                break
            try:
                data = os.pread(memory.fileno(), PAGE_BYTES, address)
            except OSError:  # unmapped meanwhile
                continue
            if len(data) == PAGE_BYTES:
                process.pages[address] = data
    return process


def resident(mappings: Sequence[Mapping], pagemap: int) -> Iterator[int]:
    chunk_pages = 1 << 16
    for mapping in mappings:
        # [vsyscall], and reserved space, of which there may be terabytes.
        if mapping.start >= 1 << 63 or not mapping.is_accessible:
            continue
        for start in range(mapping.start, mapping.end, chunk_pages * PAGE_BYTES):
            pages = min(chunk_pages, (mapping.end - start) // PAGE_BYTES)
            data = os.pread(pagemap, pages * ENTRY_BYTES, start // PAGE_BYTES * ENTRY_BYTES)
            if not data.strip(b"\0"):
                continue
            for index, (entry,) in enumerate(struct.iter_unpack("<Q", data)):
                if entry & PRESENT and not entry & FILE_OR_SHARED:
                    yield start + index * PAGE_BYTES


def compare(one: Process, two: Process, words_max: int) -> Result:
    """Compare each page of one with the page at the same address of two, then with all others."""
    result, elsewhere, left = Result(), set(two.pages.values()), []
    for address, page in one.pages.items():
        other = two.pages.get(address)
        differing = [] if other is None else differing_words(page, other)
        if page == ZERO:
            kind = "zero"
        elif page == other:
            kind = "equal in place"
        elif page in elsewhere:
            kind = "equal elsewhere"
        elif 0 < len(differing) <= words_max:
            kind = "different in few words"
            for pair in differing:
                result.kinds[word_kind(pair, one, two)] += 1
                result.pairs[pair] += 1
        else:
            left.append(address)
            continue
        _count(result, one, address, kind)
    index = windows(two, one) if left else {}
    for address in left:
        _count(result, one, address, _kind_of_rest(address, one, two, index))
    return result


def _count(result: Result, process: Process, address: int, kind: str) -> None:
    mapping = process.mapping_at(address)
    result.pages[kind] += 1
    result.by_mapping["?" if mapping is None else mapping.name, kind] += 1


def differing_words(page: bytes, other: bytes) -> list[tuple[int, int]]:
    """Return the pairs of 64-bit words that differ."""
    count = PAGE_BYTES // WORD_BYTES
    pairs = zip(struct.unpack(f"<{count}Q", page), struct.unpack(f"<{count}Q", other), strict=True)
    return [pair for pair in pairs if pair[0] != pair[1]]


def windows(process: Process, other: Process) -> dict[bytes, int]:
    """Return the addresses of the parts of pages that are not equal in place, of bounded number.

    A part that occurs at two addresses says nothing about a shift, and is left out.
    """
    found: dict[bytes, int] = {}
    changed = (a for a, page in process.pages.items() if page not in (ZERO, other.pages.get(a)))
    for address in [address for address, _ in zip(changed, range(SHIFTED_PAGES_MAX), strict=False)]:
        page = process.pages[address]
        for offset in range(0, PAGE_BYTES - WINDOW_BYTES + 1, STEP_BYTES):
            part = page[offset : offset + WINDOW_BYTES]
            found[part] = -1 if part in found else address + offset
    return found


def _kind_of_rest(address: int, one: Process, two: Process, index: dict[bytes, int]) -> str:
    page = one.pages[address]
    shifts: Counter[int] = Counter()
    for probe in range(PROBES):
        offset = probe * (PAGE_BYTES // PROBES)
        place = index.get(page[offset : offset + WINDOW_BYTES], -1)
        if place >= 0:
            shifts[place - address - offset] += 1
    shift, hits = shifts.most_common(1)[0] if shifts else (0, 0)
    if shift != 0 and 2 * hits >= PROBES:
        return "shifted" if shift % PAGE_BYTES else "mostly equal elsewhere"
    return "absent in the other" if address not in two.pages else "different"


def word_kind(pair: tuple[int, int], one: Process, two: Process) -> str:
    """Say what the two words are."""
    places = [process.mapping_at(word) for process, word in zip((one, two), pair, strict=True)]
    if all(place is not None for place in places):
        names = dict.fromkeys(place.name for place in places if place is not None)
        return f"pointer into {' and '.join(names)}"
    if set(pair) == {one.pid, two.pid}:
        return "PID"
    if unit := time_unit(pair):
        return f"time in {unit}"
    if all(is_text(word) for word in pair):
        return "text"
    if abs(pair[0] - pair[1]) < COUNTER_DISTANCE and max(pair) < 1 << 48:
        return "counter or small number"
    if 0 in pair:
        return "present in one only"
    if min(pair) >= 1 << 48:
        # glibc's sysdeps/unix/sysv/linux/dl-osinfo.h: _dl_setup_stack_chk_guard.
        return "random" if any(word & 0xFF for word in pair) else "random, as stack canaries are"
    return "other number"


def time_unit(pair: tuple[int, int]) -> str | None:
    """Return the unit if both could be times of the last day, by the calendar or since boot."""
    for unit, per_second in UNITS.items():
        for clock in (time.CLOCK_REALTIME, time.CLOCK_MONOTONIC):
            now = time.clock_gettime(clock)
            seconds = [word / per_second for word in pair]
            is_long = clock == time.CLOCK_REALTIME or per_second > 1000
            if is_long and all(max(1.0, now - DAY) <= each <= now for each in seconds):
                return unit
    return None


def is_text(word: int) -> bool:
    data = word.to_bytes(WORD_BYTES, "little").rstrip(b"\0")
    return len(data) > 2 and all(32 <= byte < 127 for byte in data)


def report(one: Process, two: Process, result: Result, top: int) -> Iterator[str]:
    """Yield the lines to print."""
    total = max(1, len(one.pages))
    yield f"{len(one.pages)} anonymous pages in PID {one.pid}, {len(two.pages)} in PID {two.pid}"
    for process in (one, two):
        if process.is_cut:
            yield f"only the first {len(process.pages)} pages of PID {process.pid}: raise --mib"
    for kind, count in result.pages.most_common():
        yield f"{count:8} {count / total:6.1%}  {kind}"
        places = Counter({n: c for (n, k), c in result.by_mapping.items() if k == kind})
        yield f"{'':17} in {', '.join(f'{name} {c}' for name, c in places.most_common(4))}"
    if result.kinds:
        yield "words that differ, in pages that differ in few:"
    yield from (f"{count:8}  {kind}" for kind, count in result.kinds.most_common(top))
    repeated = [(pair, count) for pair, count in result.pairs.most_common(top) if count > 1]
    if repeated:
        yield "the same two words more than once:"
    for pair, count in repeated:
        yield f"{count:8}  {pair[0]:016x} {pair[1]:016x}  {word_kind(pair, one, two)}"


def main() -> int:
    """Print the comparison. Return the exit code."""
    parser = argparse.ArgumentParser(description="What differs between two processes' memory.")
    parser.add_argument("pid", type=int, nargs=2)
    parser.add_argument("--mib", type=int, default=1024, help="of each process, at most")
    parser.add_argument("--words", type=int, default=16, help="that a page may differ in")
    parser.add_argument("--top", type=int, default=12, help="rows of each list")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("it reads the memory of other processes; to do: run it as root")
    try:
        one, two = (read_process(pid, options.mib * MIB) for pid in options.pid)
    except OSError as error:
        parser.error(f"{error}; to do: name two running processes")
    for line in report(one, two, compare(one, two, options.words), options.top):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
