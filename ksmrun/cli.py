"""Typer app and exit codes."""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ksmrun.commands.output import say
from ksmrun.commands.version import WRITE_TODO
from ksmrun.model.errors import EXIT_FAILURE, EXIT_OWN_FAILURE, EXIT_USAGE, KsmrunError
from ksmrun.options.command import HELP
from ksmrun.options.show import help_text, width
from ksmrun.options.table import MODULES, NAMELESS, top
from ksmrun.support.oci import is_oci_call

if TYPE_CHECKING:
    import typer

# Commands that are registered by another's module.
HOMES = {"detach": "attach"}
# What ran out belongs to this process or host, not to the file.
TODO = {
    errno.EMFILE: "raise this process's limit of open files: ulimit -n 1024",
    errno.ENFILE: "raise the host's limit of open files: sysctl fs.file-max",
    errno.ENOMEM: "free memory, or raise the limits (ulimit -v, ulimit -d)",
}


OCI_CALL = (
    "a container engine started `ksmrun` as its runtime, but that is ksmrun-oci; to do: "
    "sudo ksmrun wrap install, then add the lines of `ksmrun wrap runtime podman` (or docker, "
    "containerd, cri-o) to the engine's configuration"
)


def run_app(arguments: list[str]) -> int:
    """Parse the arguments and run the command; return its exit code.

    Only the module of the named command is imported.
    """
    _prepare_output()
    # With this variable set, `ksmrun run` would print a completion script. Removed from our copy
    # only: the program keeps it.
    os.environ.pop("_KSMRUN_COMPLETE", None)
    if is_oci_call(arguments):
        say(OCI_CALL)
        return EXIT_FAILURE
    command = arguments[0] if arguments else ""
    try:
        code = _shown(arguments)
        if code is None:
            app = build_app([command] if command in MODULES else MODULES)
            code = _exit_code(app, arguments)
        sys.stdout.flush()
    except KsmrunError as error:
        say(str(error))
        code = error.exit_code
    except OSError as error:
        _explain(error)
        code = EXIT_FAILURE
    try:
        sys.stderr.flush()
    except OSError:
        # Python would end with a code of its own (120).
        _discard(sys.stderr)
    # For `ksmrun run`, 1 and 2 may be the program's own exit codes, so ours are 125, as in env.
    return EXIT_OWN_FAILURE if command == "run" and code in (EXIT_FAILURE, EXIT_USAGE) else code


def _shown(arguments: list[str]) -> int | None:
    """Print the help, which needs neither typer nor a command; None for all else."""
    if arguments and arguments[0] not in HELP:
        return None
    print(help_text(top(), width()), file=sys.stdout if arguments else sys.stderr)
    return 0 if arguments else EXIT_USAGE


def _exit_code(app: typer.Typer, arguments: list[str]) -> int:
    from ksmrun.usage import TyperUsageError, explain_usage

    try:
        code = app(arguments, prog_name="ksmrun", standalone_mode=False)
    except TyperUsageError as error:
        # A group that was given no command.
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            return EXIT_USAGE
        named = arguments[:1] if arguments[:1] and arguments[0] in MODULES else []
        raise explain_usage(error, " ".join(["ksmrun", *named])) from error
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else EXIT_FAILURE
    return code if isinstance(code, int) else 0


def _prepare_output() -> None:
    """Make stdout and stderr accept any bytes, also where they are closed (None).

    What is written to a closed stdout fails, and what is written to a closed stderr is discarded.
    """
    # Never closed here; ksmrun run closes it by its exec.
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _explain(error: OSError) -> None:
    """Print the error of a full disk, a closed pipe or exhausted descriptors."""
    _discard(sys.stdout)
    if error.errno != errno.EPIPE:
        what, todo = "cannot write to stdout", WRITE_TODO
        if error.filename:
            what = os.fsdecode(error.filename)
            todo = "check limits (ulimit -a), free space and permissions"
        say(f"{what}: {error.strerror}; {TODO.get(error.errno or 0, todo)}")


def _discard(stream: TextIO) -> None:
    """Let go what Python still buffers for a stream that cannot be written."""
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def build_app(names: Iterable[str] = MODULES) -> typer.Typer:
    """Return the app with the commands that these words name."""
    # Imported here: it imports typer, without which help works.
    from ksmrun.commands.declare import group

    app = group(NAMELESS)

    @app.callback(invoke_without_command=True)
    def ksmrun() -> None:
        """Do nothing; a callback makes typer keep the group of a single command."""

    for name in dict.fromkeys(HOMES.get(name, name) for name in names):
        importlib.import_module(f"ksmrun.commands.{name}").register(app)
    return app
