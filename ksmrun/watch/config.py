"""Configuration of the monitor: options of `ksmrun monitor`, or the same names in a TOML file."""

from __future__ import annotations

import difflib
import os
import shlex
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ksmrun.facts.ksmd import parse_cpus
from ksmrun.facts.text import parse_int
from ksmrun.model.errors import EXIT_USAGE, KsmrunError, UsageError
from ksmrun.options.item import items
from ksmrun.options.monitor import DEFAULT_FILE, TABLE, Auto, MonitorKeys
from ksmrun.options.parse import parse
from ksmrun.plan.tuning import thread_knobs
from ksmrun.support.foreign import drain, open_regular
from ksmrun.support.state import distrust
from ksmrun.support.words import quoted, shortened

FILE_BYTES_MAX = 1 << 20


class Config(MonitorKeys):
    """Keys of the configuration, and values derived from them."""

    @property
    def address(self) -> tuple[str, int] | None:
        """Address and port of listen. Raises KsmrunError."""
        if self.listen is None:
            return None
        host, _, port = self.listen.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        number = parse_int(port)
        if not host or " " in host or number is None or not 0 <= number <= 65535:
            raise KsmrunError(
                f"listen = {quoted(self.listen)} is not an address",
                "give HOST:PORT, as in 127.0.0.1:9739, with a port from 0 to 65535",
                EXIT_USAGE,
            )
        return host, number

    @property
    def tunes(self) -> bool:
        """Whether ksmd's scan rate is to be set."""
        return self.auto is not Auto.NEVER

    @property
    def without_auto(self) -> tuple[str, ...]:
        """Options that have no effect, as auto is not given."""
        names = () if self.tunes else ("auto_below", "auto_max_cpu", "cpus", "nice", "idle")
        return tuple(
            item.name
            for item in items(MonitorKeys)
            if item.attribute in names and getattr(self, item.attribute) != item.default
        )

    @property
    def thread(self) -> dict[str, str]:
        """What to set of the thread ksmd, by name. Raises KsmrunError."""
        if self.nice is not None and self.idle:
            raise UsageError("nice and idle exclude each other", "give one of them")
        if self.cpus is not None and parse_cpus(self.cpus) is None:
            raise UsageError(
                f"cpus = {quoted(self.cpus)} is not a list of CPUs", "give for example 6-7 or 0,2"
            )
        knobs = thread_knobs({}, self.cpus, self.nice, idle=self.idle)
        return {knob.name: knob.then for knob in knobs}

    @property
    def command(self) -> list[str]:
        """Words of on_alert; empty for none. Raises KsmrunError."""
        if self.on_alert is None:
            return []
        try:
            words = shlex.split(self.on_alert)
        except ValueError as error:
            raise KsmrunError(
                f"on_alert = {quoted(self.on_alert)}: {error}", "close the quote", EXIT_USAGE
            ) from error
        if not words:
            raise UsageError("on_alert is empty", "give a command, or leave on_alert out")
        return words


def load(file: Path | None, options: Mapping[str, Any]) -> Config:
    """Return the configuration: options that are not None, else the file's values.

    file: None for DEFAULT_FILE, which may be missing. Raises KsmrunError.
    """
    values = _read(file or DEFAULT_FILE, must_exist=file is not None)
    values |= {name: value for name, value in options.items() if value is not None}
    config = Config(**values)
    _ = config.address
    _ = config.thread
    _refuse_missing_command(config.command)
    return config


def _refuse_missing_command(words: list[str]) -> None:
    """Raise UsageError at the start, rather than fail at the first alert."""
    if words and shutil.which(words[0]) is None:
        raise UsageError(
            f"on_alert: {shortened(words[0])} does not exist or is not executable",
            "give the whole path of an executable file",
        )


def _read(file: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        descriptor = open_regular(file)
        if wrong := distrust(descriptor):
            os.close(descriptor)
            raise KsmrunError(
                f"{file} {wrong}, and could run commands",
                f"run: sudo chown root {file} && sudo chmod go-w {file}",
            )
        found = tomllib.loads(drain(descriptor, FILE_BYTES_MAX).decode())
    except FileNotFoundError as error:
        if not must_exist:
            return {}
        raise UsageError(f"{file} does not exist", "give another file with --config") from error
    except OSError as error:
        raise KsmrunError(
            f"cannot read {file}: {error.strerror}",
            "give a readable file with --config",
        ) from error
    # ValueError: also invalid UTF-8, and numbers with thousands of digits.
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise UsageError(f"{file} is not valid TOML: {why}", "fix that line of the file") from error
    for name, value in found.items():
        if name != TABLE:
            what = f"there is no table [{name:.60}]"
            if not isinstance(value, dict):
                what = f"the key {name!r:.60} is in no table"
            raise UsageError(f"{file}: {what}", f"the keys belong below [{TABLE}]")
    table = found.get(TABLE, {})
    if not isinstance(table, dict):
        raise UsageError(f"{file}: {TABLE} is not a table", f"write [{TABLE}] above its keys")
    return _checked(file, table)


def _checked(file: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values by attribute.

    Keys are named like the options, or like their attributes in earlier versions, with - or _.
    """
    known = {item.key: item for item in items(Config)}
    names = known | {item.attribute: item for item in known.values()}
    values: dict[str, Any] = {}
    for key, given in table.items():
        item = names.get(key.replace("-", "_"))
        if item is None:
            near = difflib.get_close_matches(key, names, 1)
            todo = f"did you mean {near[0]}? " if near else ""
            todo += f"the keys are {', '.join(sorted(known))}"
            raise UsageError(f"{file}: there is no key {key!r:.60}", todo)
        if item.attribute in values:
            raise UsageError(f"{file}: {item.key} is there twice", "remove one")
        values[item.attribute] = parse(item, f"{file}: {key}", given)
    return values
