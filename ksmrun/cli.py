"""Dispatch to commands, and exit codes."""

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

from ksmrun.commands.declare import Registry
from ksmrun.commands.output import say
from ksmrun.commands.version import WRITE_TODO
from ksmrun.model.errors import EXIT_FAILURE, EXIT_OWN_FAILURE, EXIT_USAGE, KsmrunError
from ksmrun.options.command import HELP
from ksmrun.options.show import help_text, width
from ksmrun.options.table import MODULES, command, command_of, top
from ksmrun.options.words import read_words
from ksmrun.support.oci import is_oci_call

if TYPE_CHECKING:
    import typer

WRAPS = ("install", "unit", "quadlet", "list", "image", "compose", "pod", "runtime")
# Modules of commands, where they are not named like the first word.
HOMES = {
    "detach": "attach",
    "host": "host.command",
    **{f"host {name}": f"host.{name}" for name in ("install", "show", "tune")},
    **{f"wrap {name}": f"wrap.{name}" for name in WRAPS},
}
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
    name = arguments[0] if arguments else ""
    try:
        code = _shown(arguments)
        if code is None:
            code = _exit_code(arguments)
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
    return EXIT_OWN_FAILURE if name == "run" and code in (EXIT_FAILURE, EXIT_USAGE) else code


def _shown(arguments: list[str]) -> int | None:
    """Print the help of ksmrun itself; None for all else."""
    if arguments and arguments[0] not in HELP:
        return None
    print(help_text(top(), width()), file=sys.stdout if arguments else sys.stderr)
    return 0 if arguments else EXIT_USAGE


def _exit_code(arguments: list[str]) -> int:
    """Run the command; return its exit code, which it may have raised SystemExit with."""
    try:
        code = 0 if _ran(arguments) else _explained(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else EXIT_FAILURE
    return code if isinstance(code, int) else 0


def _ran(arguments: list[str]) -> bool:
    """Run the command, or show its help, without typer; return False for words that it explains."""
    command = command_of(arguments)
    if command is None:
        return False
    given = arguments[len(command.words) :]
    words = None if command.commands else read_words(command, given)
    if (words and words.is_help) or (command.commands and given in ([each] for each in HELP)):
        print(help_text(command, width()))
        return True
    if words is None:
        return False
    registry = Registry()
    _register(registry, command.words)
    registry.declared[command.words].call(words.raw, words.rest)
    return True


def _explained(arguments: list[str]) -> object:
    """Have typer say what is wrong, or do what is asked for in a form that it alone knows."""
    from ksmrun.usage import TyperUsageError, explain_usage

    named = arguments[:1] if arguments and arguments[0] in MODULES else []
    try:
        return build_app(named or MODULES)(arguments, prog_name="ksmrun", standalone_mode=False)
    except TyperUsageError as error:
        # A group that was given no command.
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            return EXIT_USAGE
        raise explain_usage(error, " ".join(["ksmrun", *named])) from error


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
    # Imported here: it imports typer, without which correct command lines work.
    from ksmrun.commands.typer_app import typer_app

    registry = Registry()
    for name in names:
        top_command = command(name)
        for each in top_command.commands or (top_command,):
            _register(registry, each.words)
    return typer_app(registry)


def _register(registry: Registry, words: tuple[str, ...]) -> None:
    """Import the module of a command, which registers it."""
    home = HOMES.get(" ".join(words)) or HOMES.get(words[0], words[0])
    importlib.import_module(f"ksmrun.commands.{home}").register(registry)
