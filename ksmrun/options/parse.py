"""Parse the value of an option, from command line, variable or file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ksmrun.model.errors import UsageError
from ksmrun.options.item import Item, Kind
from ksmrun.support.words import shortened

ON, OFF = ("1", "true", "t", "yes", "y", "on"), ("0", "false", "f", "no", "n", "off")
UNITS_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}
SHIFTS = {"": 0, "K": 10, "M": 20, "G": 30}
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
EXAMPLES = {
    Kind.SECONDS: ("10", "1.5", "90s", "5m"),
    Kind.SHARE: ("20%", "0.2"),
    Kind.SIZE: ("65536", "64K", "2M"),
}


def parse(item: Item, where: str, given: object) -> Any:
    """Return the value. where: the user's name for it: "--interval", "FILE: interval".

    Numbers and booleans are accepted in TOML's types. Raises KsmrunError.
    """
    if isinstance(given, bool) and item.bare:
        # true and false in a file; the first choice switches it off.
        given = item.bare if given else item.choices[0]
    if isinstance(given, bool):
        value: Any = given if item.kind is Kind.SWITCH else None
    elif isinstance(given, str | int | float):
        value = _parsed(item, given if isinstance(given, str) else repr(given))
        if item.kind in (Kind.SWITCH, Kind.TEXT, Kind.PATH, Kind.CHOICE) and not isinstance(
            given, str
        ):
            value = None
    else:
        value = None
    if value is None or not _is_within(item, value):
        raise UsageError(
            f"{where}{_sign(where)}{_shown(given, where)} is not valid",
            f"give {form(item)}{_example(item)}",
        )
    return value


def _parsed(item: Item, text: str) -> Any:
    """Return the value, or None if it is invalid."""
    match item.kind:
        case Kind.SWITCH:
            word = text.strip().lower()
            return True if word in ON else False if word in OFF else None
        case Kind.CHOICE:
            assert item.make is not None
            return item.make(text) if text in item.choices else None
        case Kind.WHOLE:
            return int(text) if re.fullmatch(r"[+-]?[0-9]{1,20}", text) else None
        case Kind.NUMBER | Kind.SECONDS | Kind.SHARE:
            return _number(item.kind, text)
        case Kind.SIZE:
            found = re.fullmatch(r"([0-9]{1,20})([KMG]?)", text.upper())
            return int(found[1]) << SHIFTS[found[2]] if found else None
        case Kind.PATH:
            return Path(text) if text and "\0" not in text else None
        case Kind.TEXT:
            return text


def _number(kind: Kind, text: str) -> float | None:
    found = re.fullmatch(rf"({NUMBER})\s*(%|s|min|m|h|)", text.strip(), re.ASCII)
    if not found or (found[2] and kind is Kind.NUMBER):
        return None
    if found[2] == "%":
        return float(found[1]) / 100 if kind is Kind.SHARE else None
    if kind is not Kind.SECONDS and found[2]:
        return None
    return float(found[1]) * UNITS_SECONDS[found[2]]


def _is_within(item: Item, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    if item.least is not None and not value >= item.least:
        return False
    if item.most is None:
        return value not in (float("inf"), float("-inf"))
    return bool(value < item.most if item.below_most else value <= item.most)


def form(item: Item) -> str:
    """Return what a value may be, as "a share from 0% to below 100%"."""
    match item.kind:
        case Kind.SWITCH:
            return "on or off"
        case Kind.CHOICE:
            return _either(item.choices)
        case Kind.TEXT:
            return "a text"
        case Kind.PATH:
            return "a path"
    noun = {
        Kind.WHOLE: "a whole number",
        Kind.NUMBER: "a number",
        Kind.SECONDS: "a time in seconds",
        Kind.SHARE: "a share",
        Kind.SIZE: "a size in bytes",
    }[item.kind]
    least = "" if item.least is None else f" from {_bound(item, item.least)}"
    if item.most is None:
        return noun if item.least is None else f"{noun}, {_bound(item, item.least)} or more"
    below = "below " if item.below_most else ""
    upto = "to" if least else "up to"
    return f"{noun}{least} {upto} {below}{_bound(item, item.most)}"


def _bound(item: Item, value: float) -> str:
    return f"{value * 100:g}%" if item.kind is Kind.SHARE else f"{value:.15g}"


def _example(item: Item) -> str:
    examples = EXAMPLES.get(item.kind)
    return f", as in {_either(examples)}" if examples else ""


def _either(words: Sequence[str]) -> str:
    """Return "a, b or c"."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _sign(where: str) -> str:
    """Return what stands between a name and its value: in a file, on a command line."""
    if ": " in where:
        return " = "
    return "=" if where.startswith(("-", "KSMRUN_")) else " "


def _shown(given: object, where: str) -> str:
    is_typed = isinstance(given, str) and ": " not in where
    return shortened(str(given) if is_typed else repr(given)) or "''"


def shown_default(item: Item) -> str:
    """Return the default as it could be typed; empty if there is none."""
    value = item.default
    if item.default_text or value is None or value is False or value in ((), ""):
        return item.default_text
    if value is True:
        return "on"
    if item.kind is Kind.SHARE:
        return f"{value * 100:g}%"
    if item.kind is Kind.SIZE and value % 1024 == 0:
        return f"{value >> 10}K"
    if item.kind in (Kind.SECONDS, Kind.NUMBER):
        return f"{value:g}"
    return str(value)
