"""Regular expressions of the user's on output of programs, none of which may hang an experiment."""

from __future__ import annotations

from ksmrun.model import KsmrunError

# Of CPU time, for one look at one log.
MATCH_SECONDS = 2.0


def refuse_bad(option: str, pattern: str) -> int:
    """How many groups it has. Raises KsmrunError."""
    import regex

    try:
        return regex.compile(pattern, regex.MULTILINE).groups
    except regex.error as error:
        raise KsmrunError(
            f"{option}={pattern!r} is no regular expression: {error}", "mend it"
        ) from error


def found(option: str, pattern: str, text: str) -> list[tuple[str | None, ...]]:
    """All matches, each with its groups. Raises KsmrunError where that takes too long."""
    import regex

    try:
        matches = regex.finditer(pattern, text, regex.MULTILINE, timeout=MATCH_SECONDS)
        return [match.groups() for match in matches]
    except TimeoutError as error:
        raise KsmrunError(
            f"{option}={pattern!r} takes more than {MATCH_SECONDS:.0f} s for "
            f"{len(text)} characters of output",
            "write it without a repeat of what matches in several ways, as in (a|aa)+",
        ) from error
