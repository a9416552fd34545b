"""Register commands of the table of options, and call them with what was given."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any

from ksmrun.model.errors import UsageError
from ksmrun.model.frozen import dataclass
from ksmrun.options.command import Command
from ksmrun.options.item import Item, Kind, items
from ksmrun.options.parse import parse


@dataclass(frozen=True)
class Given:
    """Values that the user gave, in addition to the options with their defaults.

    values: parsed, by attribute. words: as typed, by the option's name without dashes; True for a
    switch. line: the command as typed, after ksmrun, without what follows its options. rest: that,
    if the command passes it on.
    """

    values: Mapping[str, Any]
    words: Mapping[str, str | bool]
    line: tuple[str, ...]
    rest: tuple[str, ...]


@dataclass(frozen=True)
class Declared:
    """Command, and the function that carries it out."""

    command: Command
    function: Callable[..., None]

    def call(self, raw: Mapping[str, Any], rest: tuple[str, ...]) -> None:
        """Carry it out. raw: texts and switches by attribute, None where nothing was given.

        Raises UsageError for a value that is not allowed.
        """
        command, table = self.command, items(self.command.options)
        environment = os.environ if command.reads_variables else {}
        line = (*command.words, *_typed(table, raw))
        given = Given(*_read(table, raw, environment), line, rest)
        _refuse_contradictions(command, given)
        options = command.options(**given.values)
        if "given" in getattr(self.function, "__annotations__", {}):
            self.function(options, given)
        else:
            self.function(options)


@dataclass(frozen=True)
class Registry:
    """Commands whose modules were imported, by their words."""

    declared: dict[tuple[str, ...], Declared] = field(default_factory=dict)


def declare(registry: Registry, command: Command, function: Callable[..., None]) -> None:
    """Add a command.

    function takes its options' dataclass, and Given if it has a parameter named given.
    """
    registry.declared[command.words] = Declared(command, function)


def _typed(table: tuple[Item, ...], raw: Mapping[str, Any]) -> Iterator[str]:
    """Yield the words of a command line that give these values."""
    for item in table:
        found = raw.get(item.attribute)
        for each in found if isinstance(found, list) else () if found is None else (found,):
            if item.is_argument:
                yield each
            elif item.bare and each == item.bare:
                yield item.name
            elif item.kind is not Kind.SWITCH:
                yield f"{item.name}={each}"
            elif each or item.negative:
                yield item.name if each else item.negative


def _refuse_contradictions(command: Command, given: Given) -> None:
    for names in command.excludes:
        found = [name for name in names if given.words.get(name.removeprefix("--"))]
        if len(found) > 1:
            raise UsageError(f"{' and '.join(found)} exclude each other", "give one of them")


def _read(
    table: tuple[Item, ...], raw: Mapping[str, Any], environment: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str | bool]]:
    values: dict[str, Any] = {}
    words: dict[str, str | bool] = {}
    for item in table:
        found, where = raw.get(item.attribute), item.name
        if found not in (None, []):
            is_bare = bool(item.bare) and found == item.bare
            words[item.name.removeprefix("--")] = True if is_bare else found
        elif item.variable and environment.get(item.variable):
            found, where = environment[item.variable], item.variable
        else:
            continue
        if item.is_many:
            values[item.attribute] = tuple(parse(item, where, each) for each in found)
        else:
            values[item.attribute] = parse(item, where, found)
    return values, words
