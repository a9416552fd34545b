"""The commands as a typer app, which explains each command line that words.py does not accept."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ksmrun.commands.declare import Declared, Registry
from ksmrun.options.command import HELP, Command
from ksmrun.options.item import Item, Kind, items
from ksmrun.options.show import help_text, width
from ksmrun.options.table import NAMELESS, command


def typer_app(registry: Registry) -> typer.Typer:
    """Return the app with the commands that are registered."""
    app = _group(NAMELESS)

    @app.callback(invoke_without_command=True)
    def ksmrun() -> None:
        """Do nothing; a callback makes typer keep the group of a single command."""

    groups: dict[str, typer.Typer] = {}
    for words, declared in registry.declared.items():
        if len(words) == 1:
            _add(app, declared)
            continue
        if words[0] not in groups:
            groups[words[0]] = _group(command(words[0]))
            app.add_typer(groups[words[0]], name=words[0])
        _add(groups[words[0]], declared)
    return app


def _add(app: typer.Typer, declared: Declared) -> None:
    command = declared.command

    def run(context: typer.Context, **raw: Any) -> None:
        declared.call(raw, tuple(context.args))

    first = inspect.Parameter(
        "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    parameters = [first, *map(_parameter, items(command.options))]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {}
    settings: dict[str, Any] = {"help_option_names": [*HELP]}
    if command.passes:
        settings |= {"allow_interspersed_args": False, "allow_extra_args": True}
    app.command(
        command.name,
        cls=_shown(
            command,
            TyperCommand,
            {each.name: each.bare for each in items(command.options) if each.bare},
        ),
        short_help=command.summary,
        options_metavar=command.usage.removeprefix(command.line).strip(),
        context_settings=settings,
    )(run)


def _group(command: Command) -> typer.Typer:
    """Return a group without commands."""
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
