"""Quantities of processes, the same for ps, top and the monitor's metrics: word, unit and sum."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from ksmrun.model.process import Sort
from ksmrun.observe.groups import Group


class Unit(Enum):
    """Unit of a quantity; tables show bytes in MiB."""

    BYTES = auto()
    MAPS = auto()


@dataclass(frozen=True)
class Quantity:
    """Quantity of one or several processes.

    word: its name in tables. field: property of Group with its sum. metric: name in the monitor's
    metrics; empty if it has none there.
    """

    word: str
    unit: Unit
    field: str
    sort: Sort
    help: str
    metric: str = ""

    def read(self, group: Group, page_bytes: int, max_map_count: int | None) -> int | None:
        """Return the value; None if it is not known."""
        if self.field == "headroom_maps":
            return group.headroom_maps(max_map_count)
        value: int | None = getattr(group, self.field)
        return value * page_bytes if value is not None and self.field.endswith("_pages") else value


QUANTITIES = (
    Quantity(
        *("merged", Unit.BYTES, "merging_pages", Sort.MERGED),
        "Memory merged with equal pages, including the ones kept once.",
        "merged_bytes",
    ),
    Quantity(
        *("zero", Unit.BYTES, "zero_pages", Sort.ZERO),
        "Memory merged with the kernel's zero page.",
        "merged_zero_bytes",
    ),
    Quantity(
        *("profit", Unit.BYTES, "profit_bytes", Sort.PROFIT),
        "Memory saved minus ksmd's metadata; each process counts the pages kept once as saved.",
        "profit_bytes",
    ),
    Quantity(
        *("RSS", Unit.BYTES, "rss_bytes", Sort.RSS),
        "Resident memory; merged pages count fully in each process.",
    ),
    Quantity(
        *("PSS", Unit.BYTES, "pss_bytes", Sort.PSS),
        "Proportional set size: shared pages count by their share.",
        "pss_bytes",
    ),
    Quantity(
        *("maps", Unit.MAPS, "maps", Sort.MAPS),
        "Memory mappings of the process that has the most.",
        "maps_max",
    ),
    Quantity(
        *("headroom", Unit.MAPS, "headroom_maps", Sort.HEADROOM),
        "Memory mappings left up to vm.max_map_count, of the process that has the least.",
    ),
)
