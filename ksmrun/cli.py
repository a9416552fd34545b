"""Typer app and exit codes."""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ksmrun.commands.output import say
from ksmrun.model import EXIT_FAILURE, EXIT_OWN_FAILURE, EXIT_USAGE, KsmrunError

# Each module of ksmrun.commands has register(app). This is the order in the help.
COMMANDS = (
    *("run", "attach", "check", "estimate", "ps", "top", "explain", "monitor", "status"),
    *("ab", "report", "host", "wrap", "layout"),
)
# What ran out belongs to this process or host, not to the file.
TODO = {
    errno.EMFILE: "raise this process's limit of open files: ulimit -n 1024",
    errno.ENFILE: "raise the host's limit of open files: sysctl fs.file-max",
    errno.ENOMEM: "free memory, or raise the limits (ulimit -v, ulimit -d)",
}


def run_app(arguments: list[str]) -> int:
    """Parse the arguments and run the command; return its exit code.

    Only the module of the named command is imported.
    """
    _prepare_output()
    # With this variable set, `ksmrun run` would print a completion script. Removed from our copy
    # only: the program keeps it.
    os.environ.pop("_KSMRUN_COMPLETE", None)
    command = arguments[0] if arguments else ""
    app = build_app([command] if command in COMMANDS else COMMANDS)
    try:
        code = _exit_code(app, arguments)
        sys.stdout.flush()
    except KsmrunError as error:
        say(str(error))
        return error.exit_code
    except OSError as error:
        _explain(error)
        return EXIT_OWN_FAILURE if command == "run" else EXIT_FAILURE
    # For `ksmrun run`, 2 may be the program's own exit code, so a usage error is 125, as in env.
    return EXIT_OWN_FAILURE if command == "run" and code == EXIT_USAGE else code


def _exit_code(app: typer.Typer, arguments: list[str]) -> int:
    try:
        app(arguments, prog_name="ksmrun")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else EXIT_FAILURE
    return 0


def _prepare_output() -> None:
    """Make stdout and stderr accept any bytes; discard what is written to a closed one (None)."""
    # Never closed here; ksmrun run closes it by its exec.
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _explain(error: OSError) -> None:
    """Print the error of a full disk, a closed pipe or exhausted descriptors."""
    with contextlib.suppress(OSError):
        # What Python still buffers for stdout cannot be written either.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    if error.errno != errno.EPIPE:
        where = error.filename or "writing the output"
        todo = TODO.get(error.errno or 0, "look at limits (ulimit -a), free space and permissions")
        say(f"{where}: {error.strerror}; {todo}")


def build_app(names: tuple[str, ...] | list[str] = COMMANDS) -> typer.Typer:
    """Return the app with these commands."""
    app = typer.Typer(
        name="ksmrun",
        help="Start unmodified programs so that Linux keeps their equal memory pages once (KSM).",
        epilog="Example: ksmrun run -- ./server --port 8303",
        no_args_is_help=True,
        add_completion=False,
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
