"""Content of `ksmrun top` as text, for its screen and for --once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TypeVar

from rich.cells import set_cell_size

from ksmrun.commands.output import mib
from ksmrun.commands.ps import PRIORITIES, figures_of
from ksmrun.commands.table import GAP_COLUMNS, Column, Layout, cut_command, fit
from ksmrun.model.process import By, ProcessList, Sort
from ksmrun.observe.groups import Group, group, matching, sort_groups
from ksmrun.observe.quantities import QUANTITIES
from ksmrun.observe.scan_rate import HostLook, HostWatch
from ksmrun.support.units import processes
from ksmrun.support.words import printable

BLOCKS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 16
Choice = TypeVar("Choice", By, Sort)
# Width of a figure, with room for the mark of the sorted one.
FIGURE_WIDTH = 6
FIRST_WIDTH = 8
# Narrower than this, the header is printed without sparklines.
SPARK_COLUMNS_MIN = 78


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


def header(
    watch: HostWatch, host: HostLook, found: ProcessList, width: int = SPARK_COLUMNS_MIN
) -> list[str]:
    """Return three lines of up to 78 columns, without sparklines of up to 58."""
    saved, took = (
        (f"{spark(values)}   " if width >= SPARK_COLUMNS_MIN else "  ")
        for values in (watch.saved, watch.cpu)
    )
    cpu = "-" if host.ksmd_cpu is None else f"{host.ksmd_cpu:.1%}"
    dedup = "-" if host.dedup is None else f"{host.dedup:.1f}x"
    available = "-" if host.mem_available_bytes is None else mib(host.mem_available_bytes)
    return [
        f"saved {mib(host.saved_bytes):>10} MiB {saved}dedup {dedup:>7}   free {available:>10} MiB",
        f"ksmd  {_state(host):<3} {cpu:>6} CPU {took}{_full_scan(host)}",
        _processes(found),
    ]


def columns_of(view: View) -> list[str]:
    """Return the columns' titles; the sort column has a mark."""
    first = "PID" if view.by is By.PROCESS else "count"
    last = "command" if view.by is By.PROCESS else str(view.by)
    names = [first, last, *(each.word for each in QUANTITIES)]
    sorts = [Sort.PROCESSES, Sort.NAME, *(each.sort for each in QUANTITIES)]
    return [
        f"{name}*" if sort is view.sort else name for name, sort in zip(names, sorts, strict=True)
    ]


def cells_of(row: Group, view: View, found: ProcessList) -> list[str]:
    """Return one cell for each column."""
    single = view.by is By.PROCESS
    first = row.name if single else str(len(row.processes))
    mark = "+" if row.key in view.marked else " "
    last = row.processes[0].command if single else row.name
    return [f"{mark}{first}", printable(last), *figures_of(row, found)]


def lines(view: View, found: ProcessList, width: int) -> list[str]:
    """Return the table as text."""
    titles = [columns_of(view), *(cells_of(row, view, found) for row in view.rows(found))]
    return [line_of(cells, width) for cells in titles]


@cache
def layout(width: int) -> Layout:
    """Return the columns that fit; the name has what the figures leave."""
    columns = [Column("", "right"), Column("", "cut")]
    columns += [Column(each.word, "right", PRIORITIES.get(each.word, 0)) for each in QUANTITIES]
    sizes = [
        *(FIRST_WIDTH, width),
        *(max(FIGURE_WIDTH, len(each.word) + 1) for each in QUANTITIES),
    ]
    return fit(columns, sizes, width)


def line_of(cells: Sequence[str], width: int) -> str:
    """Return a line of that width: PID or count, the name, figures right-aligned."""
    widths = layout(width).widths
    # In cells of the terminal, as a name may have wide characters.
    texts = [
        set_cell_size(cut_command(cells[i], columns), columns)
        if i == 1
        else f"{cells[i]:>{columns}}"
        for i, columns in widths.items()
    ]
    return (" " * GAP_COLUMNS).join(texts)


def status(view: View, rows: Iterable[Group], found: ProcessList, width: int) -> str:
    """Return what is shown and what is not, and the sum over marked rows."""
    left_out = layout(width).left_out
    parts = [f"not shown at {width} columns: {', '.join(left_out)}"] if left_out else []
    parts.append(f"by {view.by}, sorted by {view.sort}")
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
    return {0: "off", 1: "on", 2: "unmerging"}.get(
        host.ksm.run if host.ksm.run is not None else -1, "-"
    )


def _full_scan(host: HostLook) -> str:
    if host.ksm.full_scans is None:
        return "full scan -"
    progress = "" if host.scan_progress is None else f", {host.scan_progress:.0%} done"
    return f"full scan {host.ksm.full_scans + 1}{progress}"


def _processes(found: ProcessList) -> str:
    number = len(found.processes)
    parts = [processes(number, "merge")]
    if found.unreadable:
        parts.append(f"{found.unreadable} of other users could not be read")
    if found.hidepid:
        parts.append("hidepid hides others")
    return "; ".join(parts)


def _after(values: list[Choice], value: Choice) -> Choice:
    return values[(values.index(value) + 1) % len(values)]
