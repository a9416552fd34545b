"""Number options of commands that options/ does not declare yet; parsed by options/parse.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from ksmrun.model import KsmrunError
from ksmrun.options.item import SECONDS_MAX, Item, Kind
from ksmrun.options.parse import parse


def seconds(least: float, most: float = SECONDS_MAX) -> Callable[[str | float], float]:
    """Return typer's parser of a time."""
    return _parser(Item("", Kind.SECONDS, least=least, most=most))


def whole(least: int, most: int) -> Callable[[str | int], int]:
    """Return typer's parser of a whole number."""
    return _parser(Item("", Kind.WHOLE, least=least, most=most))


def _parser(item: Item) -> Callable[[Any], Any]:
    def read(given: str | float) -> Any:
        # typer passes defaults, too.
        if not isinstance(given, str):
            return given
        try:
            return parse(item, "it", given)
        except KsmrunError as error:
            raise typer.BadParameter(error.what) from error

    return read
