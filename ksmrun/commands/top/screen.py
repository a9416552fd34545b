"""Screen of `ksmrun top`: keys and refreshing. The only part that uses Textual."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import ClassVar

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from ksmrun.commands.top.frame import View, cells_of, columns_of, header, line_of, status
from ksmrun.commands.top.process_screen import ProcessScreen, Seen
from ksmrun.commands.top.rows import Rows
from ksmrun.facts.host import read_host
from ksmrun.model.process import By, Identity, ProcessList
from ksmrun.observe.groups import Group
from ksmrun.observe.processes import ProcessWatch
from ksmrun.observe.scan_rate import HISTORY, HostLook, HostWatch

KEYS = "q quit  s sort  g group  / filter  space mark  enter open  esc back"
# For 60 columns.
KEYS_SHORT = "q quit s sort g group / filter spc mark ret open esc back"


class Top(App[None]):
    """Refreshes in a thread, with pauses that grow with the time a refresh takes."""

    ENABLE_COMMAND_PALETTE = False
    CSS_PATH = "top.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit"),
        Binding("s", "sort"),
        Binding("g", "group"),
        Binding("slash", "filter"),
        Binding("space", "mark"),
        Binding("escape", "leave"),
    ]

    def __init__(self, view: View, interval_seconds: float) -> None:
        super().__init__(ansi_color=True)
        self.view = view
        self.found: ProcessList | None = None
        self.maps: dict[object, deque[int]] = {}
        self._interval_seconds = interval_seconds
        self._watch, self._processes = HostWatch(), ProcessWatch()
        self._host: HostLook | None = None
        self._shown: list[Group] = []

    def compose(self) -> ComposeResult:
        yield Static("looking ...", id="host", markup=False)
        yield Static("", id="titles", markup=False)
        yield Rows()
        yield Input(placeholder="part of a name", id="filter")
        yield Static("", id="status", markup=False)
        yield Static(KEYS, id="keys", markup=False)

    def on_mount(self) -> None:
        self.query_one(Rows).focus()
        self._look()

    @work(thread=True)
    def _look(self) -> None:
        facts = read_host()
        found, host = self._processes.look(facts), self._watch.look(facts)
        self.call_from_thread(self._looked, host, found)

    def _looked(self, host: HostLook, found: ProcessList) -> None:
        self._host, self.found = host, found
        before, self.maps = self.maps, {}
        for process in found.processes:
            key = (process.pid, process.identity.start_ticks)
            self.maps[key] = before.get(key, deque(maxlen=HISTORY))
            if process.maps is not None:
                self.maps[key].append(process.maps)
        self.show()
        self.set_timer(max(self._interval_seconds, self._processes.pause_seconds), self._look)

    def show(self) -> None:
        """Draw the latest observation, as the view says."""
        found, host, view = self.found, self._host, self.view
        if found is None or host is None:
            return
        if isinstance(self.screen, ProcessScreen):
            self.screen.update(self._seen(self.screen.who, found))
        # Below it, if it is open.
        base = self.screen_stack[0]
        rows = self._shown = view.rows(found)
        width = self.size.width
        head = header(self._watch, host, found, width)
        base.query_one("#host", Static).update("\n".join(head))
        keys = KEYS if width >= len(KEYS) else KEYS_SHORT
        base.query_one("#keys", Static).update(keys)
        base.query_one("#titles", Static).update(line_of(columns_of(view), width))
        base.query_one("#status", Static).update(status(view, rows, found, width))
        base.query_one(Rows).show(
            [row.key for row in rows],
            lambda number: line_of(cells_of(rows[number], view, found), width),
        )

    def _seen(self, who: Identity, found: ProcessList) -> Seen:
        process = next((one for one in found.processes if one.identity == who), None)
        maps = self.maps.get((who.pid, who.start_ticks), ())
        return Seen(process, tuple(maps), found.max_map_count, found.page_bytes)

    def on_resize(self) -> None:
        self.show()

    def change(self, view: View) -> None:
        """Switch to another view of the same observation."""
        self.view = view
        self.show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the table's keys on the screen of a process."""
        del parameters
        return len(self.screen_stack) == 1 or action in ("quit", "leave")

    def action_sort(self) -> None:
        self.change(self.view.next_sort())

    def action_group(self) -> None:
        self.change(self.view.next_by())

    def action_mark(self) -> None:
        rows = self.query_one(Rows)
        if rows.key is not None:
            self.change(self.view.toggled(rows.key))
            rows.action_move(1)

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.change(replace(self.view, text=event.value))

    def on_input_submitted(self) -> None:
        self._close_filter()

    def _close_filter(self) -> None:
        self.query_one("#filter", Input).display = False
        self.query_one(Rows).focus()

    def action_leave(self) -> None:
        """Go back from a process to the table, a filter to all, or a group to the groups."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        elif self.query_one("#filter", Input).display or self.view.text:
            self.query_one("#filter", Input).value = ""
            self.change(replace(self.view, text=""))
            self._close_filter()
        elif self.view.inside is not None:
            self.change(replace(self.view, by=self.view.inside[0], inside=None))

    def on_rows_opened(self) -> None:
        key = self.query_one(Rows).key
        row = next((row for row in self._shown if row.key == key), None)
        if row is None or self.found is None:
            return
        if self.view.by is By.PROCESS:
            who = row.processes[0].identity
            self.push_screen(ProcessScreen(who, self._seen(who, self.found)))
        else:
            self.change(self.view.opened(row))
