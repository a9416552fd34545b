"""Gains of language runtimes from merging and from a shared layout, and flags worth trying.

Measured figures, and the row of `ksmrun check` made from them. 8 copies with WordNet in memory
on Debian 12, x86_64, 2 processors, by `tests/bench/runtimes.py` and
`tests/bench/flags.py NAME -- WORDS`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ksmrun.model.frozen import dataclass
from ksmrun.model.runtime import JAVA, SHELL
from ksmrun.plan.doctor import CheckRow

ITEM = "runtime"
# If a trial saved this much more than the estimate, the pages do not show everything.
WORTH_TELLING_SHARE = 0.08


@dataclass(frozen=True)
class Flags:
    """Words to add to the command, its environment or ksmrun's options, with their effect.

    saved_share: of the anonymous memory of all copies, with one layout. time_ratio and cpu_ratio:
    elapsed and CPU time of the same work, with the words divided by without.
    """

    words: str
    saved_share: float
    time_ratio: float
    cpu_ratio: float
    caution: str


@dataclass(frozen=True)
class Gains:
    """Shares saved by merging alone and with one layout, of the version that was measured.

    plain_share is None if it was not measured. bounded_by: what keeps them from being higher.
    """

    version: str
    plain_share: float | None
    layout_share: float
    bounded_by: str
    flags: tuple[Flags, ...] = ()


POINTERS = "what differs are random numbers, times and names that each copy has of its own"
THREADS = "its threads compile, allocate and move objects in any order"
MERGE = "--runtime-flags=merge"
ONLY_C1 = "long computations take longer, as only the quick compiler (C1) works"
TWO_CLASSES = f"86% if the threads of all copies took memory in one order at their start; {ONLY_C1}"
RUNTIMES = {
    "CPython": Gains("3.11", 0.04, 0.87, POINTERS),
    "Perl": Gains("5.36", 0.0, 0.86, POINTERS),
    "PHP": Gains("8.2", 0.07, 0.87, POINTERS),
    "Lua": Gains("5.4", 0.01, 0.85, POINTERS),
    "LuaJIT": Gains("2.1", 0.0, 0.87, POINTERS),
    "Ruby": Gains("3.1", 0.0, 0.87, POINTERS),
    "Go": Gains(
        "1.27",
        0.17,
        0.16,
        "it places its heap itself, and its threads allocate in any order",
        (
            Flags(
                "--seeds=go and the variables GOMAXPROCS=1 "
                "GODEBUG=gcstoptheworld=2,asyncpreemptoff=1 (static programs only)",
                0.74,
                1.09,
                0.94,
                "math/rand repeats in all copies, and programs of Go 1.19 end at their start",
            ),
        ),
    ),
    "Mono": Gains(
        "6.8",
        0.01,
        0.45,
        "its collector moves objects in an order that threads decide",
        (
            Flags(
                MERGE,
                0.81,
                0.91,
                0.95,
                "other trials saved from 52% on, as its threads take memory in any order",
            ),
        ),
    ),
    "OpenJDK 17": Gains("17", 0.11, 0.14, THREADS, (Flags(MERGE, 0.74, 1.35, 0.92, TWO_CLASSES),)),
    "OpenJDK 21": Gains("21", None, 0.10, THREADS, (Flags(MERGE, 0.86, 1.46, 1.01, ONLY_C1),)),
    "OpenJDK 25": Gains("25", None, 0.02, THREADS, (Flags(MERGE, 0.87, 1.06, 1.0, ONLY_C1),)),
    "Node.js": Gains("20", 0.08, 0.87, POINTERS),
}


def gains_of(name: str | None, major: int | None = None) -> Gains | None:
    """Return the gains of a runtime; None if it was not measured.

    Of Java the next older version that was measured counts, or the oldest.
    """
    if name != JAVA:
        return RUNTIMES.get(name or "")
    measured = sorted(int(key.split()[1]) for key in RUNTIMES if key.startswith(f"{JAVA} "))
    older = [version for version in measured if version <= (major or 0)]
    return RUNTIMES[f"{JAVA} {older[-1] if older else measured[0]}"]


def runtime_row(
    name: str | None,
    evidence: str | None,
    heap: tuple[str, str, str] | None = None,
    *,
    is_inside: bool = False,
    version: str | None = None,
    major: int | None = None,
) -> CheckRow:
    """Return a row: the runtime found, what it gains, and which flags to try.

    heap: as in plan/java_heap.py, if a flag keeps the heap from merging. is_inside: the program
    embeds that interpreter, so most of its memory may be its own.
    """
    if is_inside:
        found = f"unknown: {name} is inside ({evidence}), but its gains need not be the program's"
        return CheckRow(ITEM, "ok", found, "sudo ksmrun estimate measures running copies")
    if heap is not None:
        flag, what, todo = heap
        return CheckRow(ITEM, "warn", f"{name} with {flag}: {what} ({evidence})", todo)
    if name == SHELL:
        found = f"{evidence}: what counts is the program that it starts"
        return CheckRow(ITEM, "ok", found, "check that program too")
    gains = gains_of(name, major)
    if gains is None:
        return CheckRow(ITEM, "ok", "none that is known here")
    title = name if version is None else f"{name} {version}"
    plain = "" if gains.plain_share is None else f"{gains.plain_share:.0%} by merging, "
    found = (
        f"{title}: {evidence}. 8 copies of {gains.version} save {plain}"
        f"{gains.layout_share:.0%} with --layout=shared: {gains.bounded_by}"
    )
    return CheckRow(ITEM, "ok", found, "; ".join(_advice(flags) for flags in gains.flags))


def untold_gains(program: str, name: str, gains: Gains, estimated_share: float) -> Iterator[str]:
    """Yield what a shared layout, and flags, saved in trials beyond what pages show.

    Copies without a layout have hash seeds and addresses of their own, and without flags an order
    of their own.
    """
    if gains.layout_share > estimated_share + WORTH_TELLING_SHARE:
        yield (
            f"{program} is {name}: 8 copies saved {gains.layout_share:.0%} with one "
            "layout in a trial. Copies without it cannot show that, as their hash seeds and "
            "addresses differ; start two with `ksmrun run --layout shared --merge off` "
            "and estimate those."
        )
    for flags in gains.flags:
        if flags.saved_share > estimated_share + WORTH_TELLING_SHARE:
            yield (
                f"{program} is {name}: 8 copies saved {flags.saved_share:.0%} in a trial with one "
                f"layout and {flags.words}, which cannot be seen in copies without it; "
                f"{flags.caution}."
            )


def _advice(flags: Flags) -> str:
    return (
        f"with --layout=shared try {flags.words}: it saves {flags.saved_share:.0%}, and takes "
        f"x{flags.time_ratio:.2f} the time and x{flags.cpu_ratio:.2f} the CPU; {flags.caution}"
    )
