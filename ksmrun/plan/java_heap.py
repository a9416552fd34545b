"""Flags of OpenJDK that put its heap where KSM does not scan. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

SHARED = "its heap is shared memory, which KSM does not merge"
OTHER = "choose another collector: -XX:+UseG1GC or -XX:+UseParallelGC"
# ZGC's heap is a memfd named java_heap, seen in 17 and 25 (src/hotspot/os/linux/gc/z/
# zPhysicalMemoryBacking_linux.cpp); KSM takes anonymous memory only (mm/ksm.c: vma_ksm_compatible).
SWITCHES = {
    "UseZGC": (SHARED, OTHER),
    "UseLargePages": (
        "its heap is in hugetlb pages, which KSM leaves alone",
        "leave that flag out",
    ),
}
# A file mapped shared.
HEAP_FILE = "-XX:AllocateHeapAt="


def unmergeable_heap(
    words: Sequence[str], environment: Mapping[str, str]
) -> tuple[str, str, str] | None:
    """Return the flag, its effect on the heap, and what to do; None if the heap may merge.

    Option files (@FILE, -XX:Flags=) are not read.
    """
    given: dict[str, tuple[str, str, str]] = {}
    for word in java_options(words, environment):
        if word.startswith(HEAP_FILE):
            given[HEAP_FILE] = (word, SHARED, "leave that flag out")
        for name, (what, todo) in SWITCHES.items():
            if word == f"-XX:+{name}":
                given[name] = (word, what, todo)
            elif word == f"-XX:-{name}":
                given.pop(name, None)
    return next(iter(given.values()), None)


def java_options(words: Sequence[str], environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the options; of contradictory ones the last counts (java(1); JDK-4971166)."""
    for name in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"):
        yield from _split(environment.get(name, ""))
    yield from words
    yield from _split(environment.get("_JAVA_OPTIONS", ""))


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
