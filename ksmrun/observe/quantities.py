"""Quantities of processes for ps, top and the monitor's metrics: how each is read and sorted."""

from __future__ import annotations

from ksmrun.model.frozen import dataclass
from ksmrun.model.process import Sort
from ksmrun.model.quantities import MAPS, PSS, RSS, Quantity, Unit
from ksmrun.observe.groups import Group


@dataclass(frozen=True)
class ProcessQuantity:
    """Quantity of one or several processes.

    field: property of Group with its sum. is_metric: whether the monitor has it, under its id.
    """

    quantity: Quantity
    field: str
    sort: Sort
    is_metric: bool = True

    @property
    def word(self) -> str:
        """Name in tables."""
        return self.quantity.word

    @property
    def unit(self) -> Unit:
        """Unit; tables show bytes in MiB."""
        return self.quantity.unit

    def read(self, group: Group, page_bytes: int, max_map_count: int | None) -> int | None:
        """Return the value; None if it is not known."""
        if self.field == "headroom_maps":
            return group.headroom_maps(max_map_count)
        value: int | None = getattr(group, self.field)
        return value * page_bytes if value is not None and self.field.endswith("_pages") else value


MERGED = Quantity(
    *("merged_bytes", "merged", Unit.BYTES),
    "Memory merged with equal pages, including the ones kept once.",
)
ZERO = Quantity(
    *("merged_zero_bytes", "zero", Unit.BYTES), "Memory merged with the kernel's zero page."
)
PROFIT = Quantity(
    *("profit_bytes", "profit", Unit.BYTES),
    "Memory saved minus ksmd's metadata; each process counts the pages kept once as saved.",
)
HEADROOM = Quantity(
    *("headroom_maps", "headroom", Unit.MAPS),
    "Memory mappings left up to vm.max_map_count, of the process that has the least.",
)
QUANTITIES = (
    ProcessQuantity(MERGED, "merging_pages", Sort.MERGED),
    ProcessQuantity(ZERO, "zero_pages", Sort.ZERO),
    ProcessQuantity(PROFIT, "profit_bytes", Sort.PROFIT),
    ProcessQuantity(RSS, "rss_bytes", Sort.RSS, is_metric=False),
    ProcessQuantity(PSS, "pss_bytes", Sort.PSS),
    ProcessQuantity(MAPS, "maps", Sort.MAPS),
    ProcessQuantity(HEADROOM, "headroom_maps", Sort.HEADROOM, is_metric=False),
)
