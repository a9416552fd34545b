"""Content of `ksmrun top` as text, for its screen and for --once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ksmrun.commands.output import mib
from ksmrun.commands.ps import figures_of
from ksmrun.model.process import By, ProcessList, Sort
from ksmrun.observe.groups import Group, group, matching, sort_groups
from ksmrun.observe.live import HostLook, HostWatch
from ksmrun.observe.quantities import QUANTITIES
from ksmrun.support.words import printable

BLOCKS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 16
Choice = TypeVar("Choice", By, Sort)
# Width of each column, with room for the mark of the sorted one; all fit into 80 columns.
WIDTHS = (8, *(max(8, len(each.word) + 2) for each in QUANTITIES))


@dataclass(frozen=True)
class View:
    """Selection and order of what is shown.

    inside: the group that was opened, by its kind and key.
    """

    by: By = By.PROCESS
    sort: Sort = Sort.PROFIT
    text: str = ""
    inside: tuple[By, object] | None = None
    marked: frozenset[object] = field(default_factory=frozenset)

    def rows(self, found: ProcessList) -> list[Group]:
        """Return the rows in the order of the screen."""
        processes = matching(found.processes, self.text)
        if self.inside is not None:
            by, key = self.inside
            opened = [row.processes for row in group(processes, by) if row.key == key]
            processes = list(opened[0]) if opened else []
        return sort_groups(group(processes, self.by), self.sort)

    def toggled(self, key: object) -> View:
        """Return the view with this row's mark toggled."""
        return replace(self, marked=self.marked ^ {key})

    def opened(self, row: Group) -> View:
        """Return the view of this group's processes."""
        return replace(self, by=By.PROCESS, inside=(self.by, row.key), marked=frozenset())

    def next_by(self) -> View:
        """Return the view with the next grouping. Marks belong to rows, so they are dropped."""
        return replace(self, by=_after(list(By), self.by), inside=None, marked=frozenset())

    def next_sort(self) -> View:
        """Return the view sorted by the next column."""
        return replace(self, sort=_after(list(Sort), self.sort))


def header(watch: HostWatch, host: HostLook, found: ProcessList) -> list[str]:
    """Return three lines of up to 78 columns."""
    cpu = "-" if host.ksmd_cpu is None else f"{host.ksmd_cpu:.1%}"
    dedup = "-" if host.dedup is None else f"{host.dedup:.1f}x"
    available = "-" if host.mem_available_bytes is None else mib(host.mem_available_bytes)
    return [
        f"saved {mib(host.saved_bytes):>10} MiB {spark(watch.saved)}   dedup {dedup:>7}"
        f"   free {available:>10} MiB",
        f"ksmd  {_state(host):<3} {cpu:>6} CPU {spark(watch.cpu)}   {_pass(host)}",
        _processes(found),
    ]


def columns_of(view: View) -> list[str]:
    """Return the columns' titles; the sort column has a mark."""
    first = "PID" if view.by is By.PROCESS else "count"
    last = "command" if view.by is By.PROCESS else str(view.by)
    names = [first, *(each.word for each in QUANTITIES), last]
    sorts = [Sort.PROCESSES, *(each.sort for each in QUANTITIES), Sort.NAME]
    return [
        f"{name}*" if sort is view.sort else name for name, sort in zip(names, sorts, strict=True)
    ]


def cells_of(row: Group, view: View, found: ProcessList) -> list[str]:
    """Return one cell for each column."""
    single = view.by is By.PROCESS
    first = row.name if single else str(len(row.processes))
    mark = "+" if row.key in view.marked else " "
    last = row.processes[0].command if single else row.name
    return [f"{mark}{first}", *figures_of(row, found), printable(last)]


def lines(view: View, found: ProcessList) -> list[str]:
    """Return the table as text."""
    titles = [columns_of(view), *(cells_of(row, view, found) for row in view.rows(found))]
    return [line_of(cells) for cells in titles]


def line_of(cells: Sequence[str]) -> str:
    """Return a line with figures right-aligned and the name at full length."""
    figures = zip(WIDTHS, cells[:-1], strict=True)
    return "".join(f"{cell:>{width}}" for width, cell in figures) + f"  {cells[-1]}"


def status(view: View, rows: Iterable[Group], found: ProcessList) -> str:
    """Return what is shown, and the sum over marked rows."""
    parts = [f"by {view.by}, sorted by {view.sort}"]
    if view.text:
        parts.append(f"filter {view.text!r}")
    if view.inside is not None:
        parts.append("of one group")
    marked = [process for row in rows if row.key in view.marked for process in row.processes]
    if marked:
        figures = figures_of(Group(None, "", tuple(marked)), found)
        parts.append(f"{len(marked)} marked: merged {figures[0]}, PSS {figures[4]} MiB")
    return "; ".join(parts)


def spark(values: Sequence[float] | Iterable[float], width: int = SPARK_WIDTH) -> str:
    """Return the latest values as blocks, scaled from minimum to maximum."""
    shown = list(values)[-width:]
    if not shown:
        return " " * width
    low, high = min(shown), max(shown)
    steps = [0 if high == low else round((v - low) / (high - low) * 7) for v in shown]
    return "".join(BLOCKS[step] for step in steps).rjust(width)


def _state(host: HostLook) -> str:
    return {0: "off", 1: "on", 2: "unmerging"}.get(host.run if host.run is not None else -1, "-")


def _pass(host: HostLook) -> str:
    if host.full_scans is None:
        return "pass -"
    progress = "" if host.pass_progress is None else f", {host.pass_progress:.0%} done"
    return f"pass {host.full_scans + 1}{progress}"


def _processes(found: ProcessList) -> str:
    number = len(found.processes)
    parts = ["1 process" if number == 1 else f"{number} processes merge"]
    if found.unreadable:
        parts.append(f"{found.unreadable} of other users could not be read")
    if found.hidepid:
        parts.append("hidepid hides others")
    return "; ".join(parts)


def _after(values: list[Choice], value: Choice) -> Choice:
    return values[(values.index(value) + 1) % len(values)]
