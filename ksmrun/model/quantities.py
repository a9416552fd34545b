"""Quantities: the word, the unit and the help that tables, metrics and the report use for each."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum, auto

from ksmrun.model.frozen import dataclass


class Unit(Enum):
    """Unit of a quantity, as it is kept. People read bytes in MiB or GiB, shares in percent."""

    BYTES = auto()
    MAPS = auto()
    NUMBER = auto()
    SECONDS = auto()
    SHARE = auto()
    PER_SECOND = auto()


@dataclass(frozen=True)
class Quantity:
    """What is measured. id: its name for scripts (JSON, --primary, --gate), with the unit.

    word: its name for people.
    """

    id: str
    word: str
    unit: Unit
    help: str


PSS = Quantity(
    *("pss_bytes", "PSS", Unit.BYTES),
    "Proportional set size: shared pages count by their share.",
)
RSS = Quantity(
    *("rss_bytes", "RSS", Unit.BYTES),
    "Resident memory; merged pages count fully in each process.",
)
MAPS = Quantity(
    *("maps_max", "maps", Unit.MAPS),
    "Memory mappings of the process that has the most.",
)
AVAILABLE = Quantity(
    *("mem_available_bytes", "MemAvailable", Unit.BYTES), "MemAvailable of the host."
)
HOST_MERGED = Quantity(
    *("merged_bytes", "merged on the host", Unit.BYTES),
    "Memory that would come back without merging.",
)
HOST_PROFIT = Quantity(
    *("general_profit_bytes", "profit of the host", Unit.BYTES),
    "What merging saves on the host, less its records.",
)
KSMD_SECONDS = Quantity(
    *("ksmd_cpu_seconds", "CPU time of ksmd", Unit.SECONDS), "CPU time of ksmd."
)
# Of a fleet in an experiment (experiment/summary.py).
METRICS = {
    each.id: each
    for each in (
        *(PSS, RSS, MAPS, AVAILABLE, HOST_MERGED, HOST_PROFIT, KSMD_SECONDS),
        Quantity("pss_anonymous_bytes", "anonymous PSS", Unit.BYTES, "PSS without files."),
        Quantity("uss_bytes", "USS", Unit.BYTES, "Memory that no other process has."),
        Quantity("swap_bytes", "swap", Unit.BYTES, "Memory in swap."),
        Quantity("cpu_share", "CPU", Unit.SHARE, "CPU time of the programs, of a core."),
        Quantity("ksmd_cpu_share", "CPU of ksmd", Unit.SHARE, "CPU time of ksmd, of a core."),
        Quantity(
            *("minor_faults_per_second", "minor faults", Unit.PER_SECOND),
            "Page faults served from memory.",
        ),
        Quantity(
            *("major_faults_per_second", "major faults", Unit.PER_SECOND),
            "Page faults that read from disk or swap.",
        ),
        Quantity(
            *("cow_ksm_per_second", "pages copied back", Unit.PER_SECOND),
            "Merged pages copied back as a program wrote to them.",
        ),
        *(
            Quantity(
                *(f"{kind}_pressure_share", f"{word} pressure", Unit.SHARE),
                f"Share of time in which a task waited for {word}.",
            )
            for kind, word in (("memory", "memory"), ("cpu", "CPU"))
        ),
        Quantity(
            *("mergeable_bytes", "mergeable", Unit.BYTES), "Memory that could merge, or has merged."
        ),
        Quantity(
            *("settle_seconds", "time to settle", Unit.SECONDS),
            "Time until merging had converged.",
        ),
    )
}
# Units in the names of custom metrics.
ENDS = {"_bytes": Unit.BYTES, "_share": Unit.SHARE}


def metric(name: str) -> Quantity:
    """Return a metric of an experiment, its own or a custom one."""
    unit = next((unit for end, unit in ENDS.items() if name.endswith(end)), Unit.NUMBER)
    return METRICS.get(name) or Quantity(name, name, unit, "")


def metric_id(name: str, known: Collection[str]) -> str | None:
    """Return the one of these that the user means: by id, with or without _bytes, or by word."""
    words = {metric(each).word.casefold(): each for each in known}
    found = [each for each in (name, f"{name}_bytes") if each in known]
    return found[0] if found else words.get(name.casefold())
