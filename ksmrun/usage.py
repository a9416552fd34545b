"""typer's complaints about the command line, as (what happened, what to do)."""

from __future__ import annotations

import os
import re
from typing import Any

import typer

from ksmrun.model import UsageError
from ksmrun.support.words import shortened

# Exported under no name of its own: the class that typer raises for all of them.
TyperUsageError: type[Any] = typer.BadParameter.__mro__[1]
NAME = re.compile(r"[A-Z][A-Z0-9_-]*")
QUOTED = re.compile(r"'(.*)'", re.DOTALL)
# The words of typer 0.26 to 0.28, in which the value comes first.
VALUE = re.compile(r"(?P<value>.*?) is not (?:a valid|one of|in the range)", re.DOTALL)
# Those of commands/numbers.py.
FORM = re.compile(r"it is (?P<form>.+?), not (?P<value>['\"].*)", re.DOTALL)


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
    if param is not None:
        return _bad_value(error, param, message, help_line)
    return _bad_word(message, help_line)


def _bad_option(option: str, message: str, help_line: str) -> UsageError:
    option = shortened(option)
    if "does not take a value" in message:
        return UsageError(f"{option} takes no value", f"give {option} alone")
    return UsageError(f"{option} has no value", f"add one after it: {help_line}")


def _bad_value(error: Any, param: Any, message: str, help_line: str) -> UsageError:
    variable = _variable(error, param)
    name = variable or _param_name(param)
    found = FORM.fullmatch(message) or VALUE.match(message)
    allowed = found.groupdict().get("form") or _allowed(param.type) if found else None
    if found is None or allowed is None:
        return UsageError(f"{name}: {_uncapital(message)}", help_line)
    value = os.environ.get(variable or "", _unquoted(found["value"]))
    sign = "=" if variable or name.startswith("-") else " "
    verb = "set it to" if variable else "give"
    return UsageError(f"{name}{sign}{shortened(value)} is not valid", f"{verb} {allowed}")


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in ("'", '"')
    return value[1:-1] if is_quoted else value


def _allowed(kind: Any) -> str | None:
    """Return what a type takes; None if it is not known."""
    choices = getattr(kind, "choices", None)
    if choices is not None:
        return _either([str(getattr(choice, "value", choice)) for choice in choices])
    if kind.name == "boolean":
        return "1, true, yes or on, or to 0, false, no or off"
    if not kind.name.startswith(("int", "float")):
        return None
    return ("a whole number" if kind.name.startswith("int") else "a number") + _range(kind)


def _range(kind: Any) -> str:
    least, most = getattr(kind, "min", None), getattr(kind, "max", None)
    if least is not None and most is not None:
        return f" from {least} to {most}"
    if least is not None:
        return f", more than {least}" if kind.min_open else f", {least} or more"
    if most is not None:
        return f", less than {most}" if kind.max_open else f", {most} or less"
    return ""


def _variable(error: Any, param: Any) -> str | None:
    """Return the environment variable that gave the value; None for the command line."""
    if error.ctx is None or not param.envvar:
        return None
    source = error.ctx.get_parameter_source(param.name)
    return str(param.envvar) if source is not None and source.name == "ENVIRONMENT" else None


def _bad_word(message: str, help_line: str) -> UsageError:
    quoted = QUOTED.search(message.partition(". Did you mean")[0])
    if message.startswith("No such command") and quoted:
        near = message.partition("Did you mean")[2].strip(" .?").replace("'", "")
        todo = f"did you mean {near}? {help_line}" if near else f"{help_line} for the commands"
        return UsageError(f"there is no command {shortened(quoted[1])}", todo)
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


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _uncapital(message: str) -> str:
    text = message.strip().removesuffix(".")
    return text[:1].lower() + text[1:]
