"""Options that are numbers: read by support/numbers.py, refused as wrong usage with the range."""

from __future__ import annotations

from collections.abc import Callable

import typer

from ksmrun.support.numbers import Range

# A day. Longer ones are typos, and time.sleep(3) has an end too.
DAY_SECONDS = 86400.0


def number(allowed: Range) -> Callable[[str | float], float]:
    """What typer reads an option of such a number with."""

    def parse(text: str | float) -> float:
        # typer has the default read too.
        if isinstance(text, int | float):
            return text
        try:
            return allowed.parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    return parse


def seconds(least: float, most: float = DAY_SECONDS) -> Callable[[str | float], float]:
    """The same for a time."""
    return number(Range(least, most, "seconds"))


def whole(least: int, most: int, unit: str) -> Callable[[str | int], int]:
    """The same for what is counted."""
    parse = number(Range(least, most, unit, whole=True))
    return lambda text: int(parse(text))
