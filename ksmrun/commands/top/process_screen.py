"""Process screen of `ksmrun top`: VMAs by kind, their merged part, the VMA count over time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from textual import work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Static

from ksmrun.commands.output import mib
from ksmrun.commands.table import GAP_COLUMNS, Column, Layout, fit
from ksmrun.commands.top.frame import spark
from ksmrun.facts.identity import pinned
from ksmrun.facts.smaps import by_kind, read_vmas
from ksmrun.facts.stat import read_stat
from ksmrun.model.explain import MemoryKind
from ksmrun.model.process import Identity, ProcessKsm, ProcessList
from ksmrun.observe.groups import container_label
from ksmrun.observe.processes import CPU_SHARE_MAX
from ksmrun.support.paste import pasteable
from ksmrun.support.words import printable

if TYPE_CHECKING:
    from ksmrun.commands.top.screen import Top

PERIOD_SECONDS_MIN = 5.0
KIND_WIDTH = 9
# Width in columns, priority.
COLUMNS = {
    "maps": (6, 0),
    "size": (8, 6),
    "RSS": (8, 4),
    "anon": (8, 0),
    "marked": (8, 3),
    "merged": (8, 0),
    "huge": (7, 5),
}


class ProcessScreen(Screen[None]):
    """Screen of a process. Reads its smaps as often as that stays below CPU_SHARE_MAX of a core."""

    CSS = "ProcessScreen Static { height: auto; text-wrap: wrap; }"

    def __init__(self, who: Identity) -> None:
        super().__init__()
        self.who = who

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static("reading its maps ...", id="process", markup=False)
        yield Static("esc back  q quit", id="keys", markup=False)

    def on_mount(self) -> None:
        self._look()

    @work(thread=True)
    def _look(self) -> None:
        before = time.thread_time()
        try:
            with pinned(self.who.pid) as folder:
                same = read_stat(folder).start_ticks == self.who.start_ticks
                kinds = by_kind(read_vmas(folder)) if same else None
        except PermissionError:
            kinds = {}
        except OSError:
            kinds = None
        cost_seconds = time.thread_time() - before
        self.app.call_from_thread(self._looked, kinds, cost_seconds)

    def _looked(self, kinds: dict[str, MemoryKind] | None, cost_seconds: float) -> None:
        if not self.is_attached:
            return
        field = self.query_one("#process", Static)
        if kinds is None:
            field.update(f"PID {self.who.pid} has ended; escape goes back")
            return
        app = cast("Top", self.app)
        assert app.found is not None
        maps = app.maps.get((self.who.pid, self.who.start_ticks), deque())
        lines = describe(self.who, kinds, app.found, maps, self.size.width)
        field.update("\n".join(map(printable, lines)))
        pause_seconds = max(PERIOD_SECONDS_MIN, 2 * cost_seconds / CPU_SHARE_MAX)
        self.set_timer(pause_seconds, self._look)


def describe(
    who: Identity,
    kinds: dict[str, MemoryKind],
    found: ProcessList,
    maps: deque[int],
    width: int = 80,
) -> list[str]:
    """Return the lines of the screen."""
    figures = [Column(name, "right", priority) for name, (_, priority) in COLUMNS.items()]
    sizes = [KIND_WIDTH, *(size for size, _ in COLUMNS.values())]
    shown = fit([Column("kind", "left"), *figures], sizes, width)
    process = next((one for one in found.processes if one.identity == who), None)
    limit = found.max_map_count
    lines = [
        f"PID {who.pid}, user {who.user}, unit {who.unit or '-'}, {container_label(who)}",
        who.command,
        "",
        _merged(process, kinds, found.page_bytes),
        f"maps    {maps[-1] if maps else '-'} of {limit}  {spark(maps)}",
        "",
        _line(("kind", *COLUMNS), shown),
    ]
    if shown.left_out:
        lines.insert(-1, f"not shown at {width} columns: {', '.join(shown.left_out)}")
    if not kinds:
        return [*lines, pasteable("only its owner and root can read its maps: sudo ksmrun top")]
    for name, kind in kinds.items():
        resident = (kind.size_bytes, kind.rss_bytes, kind.anonymous_bytes)
        figures_bytes = (*resident, kind.marked_bytes, kind.merged_bytes, kind.huge_bytes)
        lines.append(_line((name, str(kind.vmas), *map(mib, figures_bytes)), shown))
    return [*lines, "", pasteable(f"why not more? sudo ksmrun explain {who.pid}")]


def _line(cells: Sequence[str], shown: Layout) -> str:
    texts = [f"{cells[i]:{'>' if i else '<'}{size}}" for i, size in shown.widths.items()]
    return (" " * GAP_COLUMNS).join(texts)


def _merged(process: ProcessKsm | None, kinds: dict[str, MemoryKind], page_bytes: int) -> str:
    if process is None or process.merging_pages is None:
        return "merged  no longer"
    merged = process.merging_pages * page_bytes
    anonymous = sum(kind.anonymous_bytes for kind in kinds.values())
    share = f" ({merged / anonymous:.0%} of its anonymous memory)" if anonymous else ""
    return f"merged  {mib(merged)} MiB{share}, by {process.enabled_by}"
