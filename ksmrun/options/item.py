"""One option or argument, and functions that declare it as a field of a dataclass."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from pathlib import Path
from typing import Any

SECONDS_MAX = 30 * 86400.0


class Kind(Enum):
    """Type of a value, which determines how it is written and parsed (parse.py)."""

    TEXT = auto()
    SWITCH = auto()
    CHOICE = auto()
    WHOLE = auto()
    NUMBER = auto()
    SECONDS = auto()
    SHARE = auto()
    SIZE = auto()
    PATH = auto()


class Values(StrEnum):
    """Values that completion offers, beside choices; read by native/front/complete.c."""

    NONE = "none"
    FILE = "file"
    FOLDER = "folder"
    COMMAND = "command"
    PID = "pid"
    UNIT = "unit"
    SERVICE = "service"
    CONTAINER = "container"
    GROUP = "group"
    TUNABLE = "tunable"


@dataclass(frozen=True)
class Item:
    """Option or argument. name: "--interval", or the metavar of an argument.

    attribute: its field of the dataclass. least and most: bounds of a value, also in the
    configuration; below_most excludes the latter. variable: environment variable that gives the
    value, too. unit_setting: what a systemd unit needs if the option is given.
    is_last: it is listed behind the others. bare: the value that the option has without one.
    """

    help: str
    kind: Kind = Kind.TEXT
    name: str = ""
    attribute: str = ""
    default: Any = None
    metavar: str = ""
    short: str = ""
    negative: str = ""
    choices: tuple[str, ...] = ()
    make: type[StrEnum] | None = None
    least: float | None = None
    most: float | None = None
    below_most: bool = False
    variable: str = ""
    unit_setting: str = ""
    default_text: str = ""
    values: Values = Values.NONE
    is_argument: bool = False
    is_required: bool = False
    is_many: bool = False
    is_last: bool = False
    bare: str = ""

    @property
    def key(self) -> str:
        """Name in a configuration file."""
        return self.name.removeprefix("--").replace("-", "_")

    @property
    def names(self) -> tuple[str, ...]:
        """All spellings of an option, the short one first."""
        return tuple(filter(None, (self.short, self.name, self.negative)))

    @property
    def value_word(self) -> str:
        """Placeholder of the value in usage lines; empty for a switch."""
        if self.kind is Kind.SWITCH:
            return ""
        return self.metavar or "|".join(self.choices) or DEFAULT_METAVARS.get(self.kind, "TEXT")


DEFAULT_METAVARS = {
    Kind.WHOLE: "NUMBER",
    Kind.NUMBER: "NUMBER",
    Kind.SECONDS: "SECONDS",
    Kind.SHARE: "SHARE",
    Kind.SIZE: "SIZE",
    Kind.PATH: "FILE",
}


def option(help: str, default: Any = None, **more: Any) -> Any:
    """Declare an option that takes text."""
    return _field(Item(help, default=default, **more))


def switch(help: str, default: bool = False, **more: Any) -> Any:
    """Declare an option without a value."""
    return _field(Item(help, Kind.SWITCH, default=default, **more))


def choice(help: str, default: StrEnum | None, of: type[StrEnum] | None = None, **more: Any) -> Any:
    """Declare an option with one of the values of an enumeration."""
    make = of or (type(default) if default is not None else None)
    assert make is not None
    choices = tuple(each.value for each in make)
    return _field(Item(help, Kind.CHOICE, default=default, make=make, choices=choices, **more))


def whole(help: str, default: int | None = None, **more: Any) -> Any:
    """Declare an option with a whole number."""
    return _field(Item(help, Kind.WHOLE, default=default, **more))


def number(help: str, default: float | None = None, **more: Any) -> Any:
    """Declare an option with a number."""
    return _field(Item(help, Kind.NUMBER, default=default, **more))


def seconds(help: str, default: float | None = None, **more: Any) -> Any:
    """Declare an option with a time."""
    bounds = {"least": 0.0, "most": SECONDS_MAX} | more
    return _field(Item(help, Kind.SECONDS, default=default, **bounds))


def share(help: str, default: float | None = None, **more: Any) -> Any:
    """Declare an option with a share of something: 20% or 0.2."""
    bounds = {"least": 0.0, "most": 1.0} | more
    return _field(Item(help, Kind.SHARE, default=default, **bounds))


def size(help: str, default: int | None = None, **more: Any) -> Any:
    """Declare an option with a size in bytes: 65536, 64K, 2M or 1G."""
    return _field(Item(help, Kind.SIZE, default=default, **more))


def path(help: str, default: Path | None = None, **more: Any) -> Any:
    """Declare an option that names a file or folder."""
    return _field(Item(help, Kind.PATH, default=default, **({"values": Values.FILE} | more)))


def argument(
    help: str,
    metavar: str,
    kind: Kind = Kind.TEXT,
    of: type[StrEnum] | None = None,
    **more: Any,
) -> Any:
    """Declare an argument; is_many: all that are left. of: enumeration of its values."""
    default = () if more.get("is_many") else None
    if of is not None:
        kind, more = Kind.CHOICE, {**more, "make": of, "choices": tuple(each.value for each in of)}
    item = Item(help, kind, metavar=metavar, is_argument=True, default=default, **more)
    return _field(item)


def _field(item: Item) -> Any:
    default = () if item.is_many else item.default
    return dataclasses.field(
        default=default, metadata={"item": dataclasses.replace(item, default=default)}
    )


@functools.cache
def items(table: type) -> tuple[Item, ...]:
    """Return the items of a dataclass, each with its field's name and its own.

    In the order of the fields, but for those that are last.
    """
    found = []
    for field in dataclasses.fields(table):
        item: Item = field.metadata["item"]
        name = item.name or (
            item.metavar if item.is_argument else f"--{field.name.replace('_', '-')}"
        )
        found.append(
            dataclasses.replace(item, attribute=field.name, name=name, default=field.default)
        )
    return tuple(sorted(found, key=lambda item: item.is_last))
