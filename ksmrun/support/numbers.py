"""Numbers that a user gives, in options, variables and the configuration: finite and in a range."""

from __future__ import annotations

import re
from dataclasses import dataclass

# float() takes more: nan, inf, 1_000 and digits of all scripts.
DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
SHOWN_MAX = 40


@dataclass(frozen=True)
class Range:
    """The numbers that are allowed, both ends included. unit: the word behind "number of"."""

    least: float
    most: float
    unit: str = ""
    whole: bool = False

    @property
    def words(self) -> str:
        """What is allowed."""
        number = "whole number" if self.whole else "number"
        unit = f" of {self.unit}" if self.unit else ""
        return f"{number}{unit} from {plain(self.least)} to {plain(self.most)}"

    def parse(self, text: str) -> float:
        """Raises ValueError, which says what is allowed."""
        number = float(text) if DECIMAL.fullmatch(text) else None
        if number is None or not self.holds(number):
            shown = text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}..."
            raise ValueError(f"{shown!r} is not a {self.words}")
        return number

    def parse_whole(self, text: str) -> int:
        """The same of a Range that is whole."""
        return int(self.parse(text))

    def holds(self, number: float) -> bool:
        """Whether it is allowed; NaN never is."""
        return self.least <= number <= self.most and (not self.whole or number == int(number))


def plain(number: float) -> str:
    """As people write it: without an exponent, or .0 behind it."""
    return f"{number:f}".rstrip("0").rstrip(".")
