"""Process screen of `ksmrun top`: VMAs by kind, their merged part, the VMA count over time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from textual import work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from ksmrun.commands.output import mib
from ksmrun.commands.table import GAP_COLUMNS, Column, Layout, fit
from ksmrun.commands.top.frame import spark
from ksmrun.facts.identity import pinned
from ksmrun.facts.smaps import by_kind, read_vmas
from ksmrun.facts.stat import read_stat
from ksmrun.model.explain import MemoryKind
from ksmrun.model.process import Identity, ProcessKsm
from ksmrun.observe.groups import container_label
from ksmrun.observe.processes import CPU_SHARE_MAX
from ksmrun.support.paste import pasteable
from ksmrun.support.words import printable

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


@dataclass(frozen=True)
class Seen:
    """One observation of the process. process: None if it no longer merges. maps: VMA counts."""

    process: ProcessKsm | None
    maps: tuple[int, ...]
    max_map_count: int | None
    page_bytes: int


class ProcessScreen(Screen[None]):
    """Screen of a process. Reads its smaps as often as that stays below CPU_SHARE_MAX of a core."""

    class Read(Message):
        """Message of the reading thread. kinds: None if the process has ended, {} if unreadable."""

        def __init__(self, kinds: dict[str, MemoryKind] | None, cost_seconds: float) -> None:
            super().__init__()
            self.kinds, self.cost_seconds = kinds, cost_seconds

    def __init__(self, who: Identity, seen: Seen) -> None:
        super().__init__()
        self.who = who
        self._seen = seen
        self._read: ProcessScreen.Read | None = None

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
        self.post_message(self.Read(kinds, cost_seconds))

    def on_process_screen_read(self, message: Read) -> None:
        self._read = message
        self._draw()
        if message.kinds is not None:
            pause_seconds = max(PERIOD_SECONDS_MIN, 2 * message.cost_seconds / CPU_SHARE_MAX)
            self.set_timer(pause_seconds, self._look)

    def update(self, seen: Seen) -> None:
        """Show a later observation of the same process."""
        self._seen = seen
        self._draw()

    def _draw(self) -> None:
        if self._read is None or not self.is_mounted:
            return
        field, kinds = self.query_one("#process", Static), self._read.kinds
        if kinds is None:
            field.update(f"PID {self.who.pid} has ended; escape goes back")
            return
        lines = describe(self.who, kinds, self._seen, self.size.width)
        field.update("\n".join(map(printable, lines)))


def describe(
    who: Identity,
    kinds: dict[str, MemoryKind],
    seen: Seen,
    width: int = 80,
) -> list[str]:
    """Return the lines of the screen."""
    figures = [Column(name, "right", priority) for name, (_, priority) in COLUMNS.items()]
    sizes = [KIND_WIDTH, *(size for size, _ in COLUMNS.values())]
    shown = fit([Column("kind", "left"), *figures], sizes, width)
    count = seen.maps[-1] if seen.maps else "-"
    lines = [
        f"PID {who.pid}, user {who.user}, unit {who.unit or '-'}, {container_label(who)}",
        who.command,
        "",
        _merged(seen, kinds),
        f"maps    {count} of {seen.max_map_count}  {spark(seen.maps)}",
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


def _merged(seen: Seen, kinds: dict[str, MemoryKind]) -> str:
    process = seen.process
    if process is None or process.merging_pages is None:
        return "merged  no longer"
    merged = process.merging_pages * seen.page_bytes
    anonymous = sum(kind.anonymous_bytes for kind in kinds.values())
    share = f" ({merged / anonymous:.0%} of its anonymous memory)" if anonymous else ""
    return f"merged  {mib(merged)} MiB{share}, by {process.enabled_by}"
