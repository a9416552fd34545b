"""Declare commands of the table of options to typer."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ksmrun.model.errors import UsageError
from ksmrun.options.command import HELP, Command
from ksmrun.options.item import Item, Kind, items
from ksmrun.options.parse import parse
from ksmrun.options.show import help_text, width


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


def declare(app: typer.Typer, command: Command, function: Callable[..., None]) -> None:
    """Add a command.

    function takes its options' dataclass, and Given if it has a second parameter.
    """
    table = items(command.options)
    wants_given = len(inspect.signature(function).parameters) > 1
    takes_rest = bool(command.passes)

    def run(context: typer.Context, **raw: Any) -> None:
        environment = os.environ if command.reads_variables else {}
        line = (*command.words, *_typed(table, raw))
        given = Given(*_read(table, raw, environment), line, rest=tuple(context.args))
        _refuse_contradictions(command, given)
        options = command.options(**given.values)
        if wants_given:
            function(options, given)
        else:
            function(options)

    first = inspect.Parameter(
        "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    parameters = [first, *map(_parameter, table)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {}
    settings: dict[str, Any] = {"help_option_names": [*HELP]}
    if takes_rest:
        settings |= {"allow_interspersed_args": False, "allow_extra_args": True}
    app.command(
        command.name,
        cls=_shown(command, TyperCommand, {each.name: each.bare for each in table if each.bare}),
        short_help=command.summary,
        options_metavar=command.usage.removeprefix(command.line).strip(),
        context_settings=settings,
    )(run)


def group(command: Command) -> typer.Typer:
    """Return a group, to which declare() adds commands."""
    return typer.Typer(
        name=command.name,
        cls=_shown(command, TyperGroup),
        short_help=command.summary,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": [*HELP]},
    )


def _shown(command: Command, base: type, bare: Mapping[str, str] | None = None) -> Any:
    """Return a class that prints the table's help. bare: options whose value may be left out."""

    def get_help(self: object, context: object) -> str:
        del self, context
        return help_text(command, width())

    def make_context(
        self: Any, info_name: str | None, args: list[str], *rest: Any, **more: Any
    ) -> Any:
        words = [f"{word}={bare[word]}" if bare and word in bare else word for word in args]
        return base.make_context(self, info_name, words, *rest, **more)  # type: ignore[attr-defined]

    methods: dict[str, Any] = {"get_help": get_help}
    return type("Shown", (base,), methods | ({"make_context": make_context} if bare else {}))


def _parameter(item: Item) -> inspect.Parameter:
    """Return the parameter for typer, which sees only texts and switches: parse() reads them."""
    one: Any = bool if item.kind is Kind.SWITCH else str
    wanted: Any = list[str] if item.is_many else one
    if item.is_argument:
        extra: Any = typer.Argument(metavar=item.metavar, show_default=False)
        if item.is_required:
            return inspect.Parameter(
                item.attribute,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=Annotated[wanted, extra],
            )
    else:
        names = [f"{item.name}/{item.negative}"] if item.negative else [item.name]
        names += [item.short] if item.short else []
        extra = typer.Option(*names, metavar=item.value_word or None, show_default=False)
    return inspect.Parameter(
        item.attribute,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[wanted | None, extra],
    )


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
