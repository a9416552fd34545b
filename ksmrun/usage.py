"""typer's complaints about the command line, as (what happened, what to do)."""

from __future__ import annotations

import re
from typing import Any

import typer

from ksmrun.model.errors import UsageError
from ksmrun.support.words import shortened

# Exported under no name of its own: the class that typer raises for all of them.
TyperUsageError: type[Any] = typer.BadParameter.__mro__[1]
NAME = re.compile(r"[A-Z][A-Z0-9_=-]*")
QUOTED = re.compile(r"'(.*)'", re.DOTALL)


def explain_usage(error: Any, command: str) -> UsageError:
    """Return the error in our form: the option, the value that was given, what is allowed.

    command: what was called, as far as the error does not say it more exactly.
    """
    if error.ctx is not None:
        command = error.ctx.command_path
    help_line = f"see `{command} --help`"
    name = type(error).__name__
    message = error.message or ""
    if name == "NoSuchOption":
        near = " or ".join(sorted(error.possibilities or ()))
        todo = f"did you mean {near}? {help_line}" if near else help_line
        return UsageError(f"there is no option {shortened(error.option_name)}", todo)
    if name == "BadOptionUsage":
        return _bad_option(error.option_name, message, help_line)
    param = getattr(error, "param", None)
    if name == "MissingParameter" and param is not None:
        return UsageError(f"{_param_name(param)} is missing", f"add it: {help_line}")
    return _bad_word(message, help_line)


def _bad_option(option: str, message: str, help_line: str) -> UsageError:
    option = shortened(option)
    if "does not take a value" in message:
        return UsageError(f"{option} takes no value", f"give {option} alone")
    return UsageError(f"{option} has no value", f"add one after it: {help_line}")


def _bad_word(message: str, help_line: str) -> UsageError:
    quoted = QUOTED.search(message.partition(". Did you mean")[0])
    if message.startswith("No such command") and quoted:
        near = message.partition("Did you mean")[2].strip(" .?").replace("'", "")
        todo = f"did you mean {near}? {help_line}" if near else f"{help_line} for the commands"
        # Python shows a byte that is not UTF-8 as a surrogate (PEP 383).
        word = re.sub(r"\\udc([89a-f][0-9a-f])", r"\\x\1", quoted[1])
        return UsageError(f"there is no command {shortened(word) or quoted[0]}", todo)
    if message.startswith("Missing command"):
        return UsageError("no command given", f"{help_line} for the commands")
    if message.startswith("Got unexpected extra argument"):
        words = message.partition("(s) (")[2].removesuffix(")")
        return UsageError(f"unexpected argument: {shortened(words)}", f"leave it out; {help_line}")
    return UsageError(_uncapital(message), help_line)


def _param_name(param: Any) -> str:
    """Return --copies for ("-n", "--copies"), and PID for "[PID]..."."""
    if param.param_type_name == "option":
        return str(max(param.opts, key=len))
    found = NAME.search(param.human_readable_name.upper())
    return found[0] if found else str(param.name)


def _uncapital(message: str) -> str:
    text = message.strip().removesuffix(".")
    return text[:1].lower() + text[1:]
