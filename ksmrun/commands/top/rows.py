"""Table of `ksmrun top`. Only visible lines are rendered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

# Visible without colours too.
CURSOR = Style(reverse=True)


class Rows(ScrollView, can_focus=True):
    """Lines with a cursor, which stays on its row when the order changes."""

    class Opened(Message):
        """Message for Enter, or a click on the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)"),
        Binding("down,j", "move(1)"),
        Binding("pageup", "move_page(-1)"),
        Binding("pagedown", "move_page(1)"),
        Binding("home", "move(-1000000)"),
        Binding("end", "move(1000000)"),
        Binding("enter", "open"),
    ]

    def __init__(self) -> None:
        super().__init__(id="rows")
        self._keys: Sequence[object] = ()
        self._text: Callable[[int], str] = str
        self.cursor = 0

    @property
    def key(self) -> object:
        """Key of the row under the cursor; None if there is none."""
        return self._keys[self.cursor] if self._keys else None

    def show(self, keys: Sequence[object], text: Callable[[int], str]) -> None:
        """Show rows, given their keys, and a function that returns a row's text by its number."""
        before = self.key
        self._keys, self._text = keys, text
        last = max(len(keys) - 1, 0)
        self.cursor = keys.index(before) if before in keys else min(self.cursor, last)
        self.virtual_size = Size(0, len(keys))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        number = self.scroll_offset.y + y
        if number >= len(self._keys):
            return Strip.blank(self.size.width)
        style = CURSOR if number == self.cursor else Style.null()
        line = Strip([Segment(self._text(number), style)])
        return line.adjust_cell_length(self.size.width, style).simplify()

    def action_move(self, steps: int) -> None:
        self.cursor = max(0, min(self.cursor + steps, len(self._keys) - 1))
        top, height = self.scroll_offset.y, max(self.size.height, 1)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False)
        self.refresh()

    def action_move_page(self, pages: int) -> None:
        self.action_move(pages * max(self.size.height, 1))

    def action_open(self) -> None:
        if self._keys:
            self.post_message(self.Opened())

    def on_click(self, event: Click) -> None:
        number = self.scroll_offset.y + event.y
        if number >= len(self._keys):
            return
        if number == self.cursor:
            self.action_open()
        else:
            self.action_move(number - self.cursor)
