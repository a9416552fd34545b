"""Regular expressions of the user, none of which may hang a command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ksmrun.model.errors import UsageError
from ksmrun.support.limit import cpu_limit
from ksmrun.support.words import quoted

# CPU time per search.
MATCH_SECONDS = 2.0


def compiled(option: str, pattern: str) -> re.Pattern[str]:
    """Compile the pattern; ^ and $ match at lines. Raises KsmrunError."""
    try:
        with _limited(option, pattern):
            return re.compile(pattern, re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise UsageError(
            f"{option}={quoted(pattern)} is not a valid regular expression: {why}",
            "correct it; a literal dot, parenthesis or bracket needs a backslash",
        ) from error


def found(option: str, pattern: str, text: str) -> list[tuple[str | None, ...]]:
    """Return all matches, each with its groups. Raises KsmrunError, also if that takes too long."""
    regex = compiled(option, pattern)
    with _limited(option, pattern):
        return [match.groups() for match in regex.finditer(text)]


def those_with(option: str, pattern: str, texts: Iterable[tuple[int, str]]) -> tuple[int, ...]:
    """Return the numbers of the texts that contain the pattern. Raises KsmrunError."""
    regex = compiled(option, pattern)
    with _limited(option, pattern):
        return tuple(number for number, text in texts if regex.search(text))


@contextmanager
def _limited(option: str, pattern: str) -> Iterator[None]:
    """Limit the CPU time of matching.

    re checks for signals while it compiles and matches (Modules/_sre/sre_lib.h:
    MAYBE_CHECK_SIGNALS); a handler that raises stops it.
    """
    try:
        with cpu_limit(MATCH_SECONDS):
            yield
    except TimeoutError as error:
        raise UsageError(
            f"{option}={quoted(pattern)} takes more than {MATCH_SECONDS:g} s to match",
            "write it without repeating what matches in several ways, as in (a|aa)+",
        ) from error
