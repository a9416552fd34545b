"""What the monitor is told: the options of `ksmrun monitor`, or the same words in a TOML file."""

from __future__ import annotations

import dataclasses
import os
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ksmrun.facts.text import parse_int
from ksmrun.model import EXIT_USAGE, KsmrunError
from ksmrun.support.foreign import drain, open_regular
from ksmrun.support.numbers import Range
from ksmrun.support.state import distrust

DEFAULT_FILE = Path("/etc/ksmrun/config.toml")
TABLE = "monitor"
FILE_BYTES_MAX = 1 << 20


@dataclass(frozen=True)
class Config:
    """Times in seconds, shares from 0 to 1. deep: also find, by smaps, processes that ksmd has not
    reached yet on kernels before 6.14. auto: set ksmd's rate, up to auto_max_cpu of a core.
    follow: before 6.4 mark what attached programs map later.
    """

    interval_seconds: float = 15.0
    pss_interval_seconds: float = 60.0
    map_reserve: float = 0.2
    warn_ahead_seconds: float = 1800.0
    cow_breaks_per_second: float = 5000.0
    ksmd_busy_share: float = 0.95
    deep: bool = False
    by_pid: bool = False
    auto: bool = False
    auto_max_cpu: float = 0.7
    follow: bool = False
    listen: str | None = None
    textfile: str | None = None
    on_alert: str | None = None
    raise_map_count_to: int | None = None
    log: str = "plain"

    @property
    def address(self) -> tuple[str, int] | None:
        """Of listen. Raises KsmrunError."""
        if self.listen is None:
            return None
        host, _, port = self.listen.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        number = parse_int(port)
        if not host or number is None or not 0 <= number <= 65535:
            raise KsmrunError(
                f"listen = {self.listen!r} is no address", "for example 127.0.0.1:9739", EXIT_USAGE
            )
        return host, number

    @property
    def command(self) -> list[str]:
        """The words of on_alert; empty for none. Raises KsmrunError."""
        if self.on_alert is None:
            return []
        try:
            words = shlex.split(self.on_alert)
        except ValueError as error:
            raise KsmrunError(
                f"on_alert = {self.on_alert!r}: {error}", "close the quotation", EXIT_USAGE
            ) from error
        if not words:
            raise KsmrunError("on_alert names no command", "leave it out for none", EXIT_USAGE)
        return words


RANGES = {
    "interval_seconds": Range(0.1, 3600, "seconds"),
    "pss_interval_seconds": Range(0.1, 86400, "seconds"),
    "map_reserve": Range(0, 0.99),
    "warn_ahead_seconds": Range(0, 86400, "seconds"),
    "cow_breaks_per_second": Range(1, 1e9, "pages"),
    "ksmd_busy_share": Range(0.01, 1),
    "auto_max_cpu": Range(0.01, 1),
    "raise_map_count_to": Range(65530, (1 << 31) - 1, "maps", whole=True),
}


def load(file: Path | None, options: Mapping[str, Any]) -> Config:
    """The file's words under the options', which count where they are not None.

    file: None for DEFAULT_FILE, which need not be there. Raises KsmrunError.
    """
    values = _read(file or DEFAULT_FILE, must_exist=file is not None)
    values |= {name: value for name, value in options.items() if value is not None}
    config = Config(**values)
    for name, allowed in RANGES.items():
        value = getattr(config, name)
        if value is not None and not allowed.holds(value):
            raise KsmrunError(
                f"{name} = {value:g} is out of range", f"give a {allowed.words}", EXIT_USAGE
            )
    if config.log not in ("plain", "json"):
        raise KsmrunError(f"log = {config.log!r} is unknown", "plain or json", EXIT_USAGE)
    _ = config.address, config.command
    return config


def _read(file: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        descriptor = open_regular(file)
        if wrong := distrust(descriptor, may_group_write=True):
            os.close(descriptor)
            raise KsmrunError(f"{file} {wrong}, and names commands", "chown it, chmod o-w it")
        found = tomllib.loads(drain(descriptor, FILE_BYTES_MAX).decode())
    except FileNotFoundError as error:
        if not must_exist:
            return {}
        raise KsmrunError(f"{file} is not there", "name another by --config") from error
    except OSError as error:
        raise KsmrunError(f"cannot read {file}: {error.strerror}", "look at its mode") from error
    # ValueError: also no UTF-8, and numbers of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise KsmrunError(
            f"{file} is no TOML: {error}", "correct that line of the file", EXIT_USAGE
        ) from error
    for name, value in found.items():
        if name != TABLE or not isinstance(value, dict):
            what = "table" if isinstance(value, dict) else "key outside of a table"
            raise KsmrunError(
                f"{file}: {name} is a {what} that is not known",
                f"the only table is [{TABLE}]; write all keys below that line",
                EXIT_USAGE,
            )
    table = found.get(TABLE, {})
    return {name: _checked(file, name, value) for name, value in table.items()}


def _checked(file: Path, name: str, value: Any) -> Any:
    fields = {each.name: str(each.type) for each in dataclasses.fields(Config)}
    if name not in fields:
        raise KsmrunError(
            f"{file}: there is no {name}", f"there are {', '.join(sorted(fields))}", EXIT_USAGE
        )
    wanted = fields[name].split(" | ")[0]
    is_right = {
        "float": isinstance(value, int | float) and not isinstance(value, bool),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "bool": isinstance(value, bool),
        "str": isinstance(value, str),
    }[wanted]
    if not is_right:
        raise KsmrunError(
            f"{file}: {name} = {value!r} is not a {_kind(name, wanted)}",
            f"correct {name} in that file",
            EXIT_USAGE,
        )
    if wanted != "float":
        return value
    try:
        return float(value)
    except OverflowError:
        raise KsmrunError(
            f"{file}: {name} is out of range", f"give a {RANGES[name].words}", EXIT_USAGE
        ) from None


def _kind(name: str, wanted: str) -> str:
    if name in RANGES:
        return RANGES[name].words
    return {"bool": "boolean (true or false)", "str": "string in quotes"}[wanted]
