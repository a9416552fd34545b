"""{i}, {port:BASE}, {port}, {arm} and {dir} in commands and readiness checks. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ksmrun.model.errors import UsageError

# {{ and }} stand for braces, as in Python's and Rust's formats.
PATTERN = re.compile(r"\{\{|\}\}|\{([a-z]*)(?::([^{}]*))?\}")
PORT_MAX = 65535
NAMES = "{i}, {port:BASE}, {port}, {arm} and {dir}"


@dataclass(frozen=True)
class Instance:
    """One copy of the fleet. index: from 0. folder: its scratch folder, removed afterwards."""

    index: int
    arm: str
    folder: str


def first_port(words: Sequence[str]) -> int | None:
    """Return BASE of {port:BASE}, the same in all words. Raises KsmrunError."""
    bases = {found[2] for word in words for found in PATTERN.finditer(word) if found[1] == "port"}
    bases.discard(None)
    if len(bases) > 1:
        raise UsageError(
            f"{{port:BASE}} has several first ports: {', '.join(sorted(bases))}",
            "give one, and write {port} elsewhere",
        )
    if not bases:
        return None
    (base,) = bases
    if not base.isascii() or not base.isdigit() or not 0 < int(base) <= PORT_MAX:
        raise UsageError(
            f"{{port:{base}}} is not a port",
            f"give a number from 1 to {PORT_MAX}, as in {{port:31000}}",
        )
    return int(base)


def port_of(base: int | None, instance: Instance) -> int | None:
    """Return the copy's port. Raises KsmrunError if there are more copies than ports."""
    if base is None:
        return None
    if base + instance.index > PORT_MAX:
        raise UsageError(
            f"{{port:{base}}} leaves no port for copy {instance.index}, as {PORT_MAX} is the last",
            "give a lower first port",
        )
    return base + instance.index


def expand(word: str, instance: Instance, base: int | None) -> str:
    """Return the word with its placeholders filled in. Raises KsmrunError for an unknown one."""

    def fill(found: re.Match[str]) -> str:
        if found[0] in ("{{", "}}"):
            return found[0][0]
        name, argument = found[1], found[2]
        values: dict[str, object] = {"i": instance.index, "arm": instance.arm}
        values |= {"dir": instance.folder, "port": port_of(base, instance)}
        if name not in values or (argument is not None and name != "port"):
            raise UsageError(
                f"there is no placeholder {found[0]}",
                f"use {NAMES}, and write {{{{ and }}}} for braces",
            )
        if values[name] is None:
            raise UsageError(
                "{port} has no first port", "write {port:BASE} once, as in {port:31000}"
            )
        return str(values[name])

    return PATTERN.sub(fill, word)
