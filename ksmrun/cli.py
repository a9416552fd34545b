"""The typer app, and the exit codes."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated

import typer

from ksmrun.model import EXIT_OWN_FAILURE, EXIT_USAGE, KsmrunError

# Each module of ksmrun.commands has register(app). In the order of the help.
COMMANDS = ("run", "check", "ps", "host")


def run_app(arguments: list[str]) -> int:
    """Parses and runs; returns the exit code. A command that is named is the only one imported."""
    command = arguments[0] if arguments else ""
    app = build_app([command] if command in COMMANDS else COMMANDS)
    try:
        app(arguments, prog_name="ksmrun")
    except KsmrunError as error:
        print(f"ksmrun: {error}", file=sys.stderr)
        return error.exit_code
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        # After `ksmrun run`, 2 belongs to the program, so a usage error is 125, as env has it.
        return EXIT_OWN_FAILURE if command == "run" and code == EXIT_USAGE else code
    return 0


def build_app(names: tuple[str, ...] | list[str] = COMMANDS) -> typer.Typer:
    """The app with these commands."""
    app = typer.Typer(
        name="ksmrun",
        help="Start unmodified programs so that Linux keeps their equal memory pages once (KSM).",
        epilog="Example: ksmrun run -- ./server --port 8303",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )

    @app.callback(invoke_without_command=True)
    def options(
        version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    ) -> None:
        if version:
            from ksmrun import __version__

            print(f"ksmrun {__version__}")
            raise typer.Exit

    for name in names:
        importlib.import_module(f"ksmrun.commands.{name}").register(app)
    return app
