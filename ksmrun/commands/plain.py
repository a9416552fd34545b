"""Text in ASCII, for the C locale."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from ksmrun.launch.inplace import initial_environment

# Replacements for characters that ksmrun itself prints.
IN_ASCII = {
    "±": "+/-",
    "…": "...",
    "─": "-",
    "µ": "u",
    "·": "-",
    "—": "-",
    "→": "->",
    "≥": ">=",
    "≤": "<=",
}
BLOCKS = dict(zip("▁▂▃▄▅▆▇█", "_.-:=+*#", strict=True))
TABLE = str.maketrans(IN_ASCII | BLOCKS)


@cache
def is_ascii_only() -> bool:
    """Return whether the locale is C or POSIX, by the variables that locale(7) names.

    Reads the environment as it was at the start, as Python sets LC_CTYPE in the C locale and prints
    UTF-8 there (PEP 538, PEP 540).
    """
    return ascii_only_by(dict(each.partition(b"=")[::2] for each in initial_environment()))


def ascii_only_by(environment: Mapping[bytes, bytes]) -> bool:
    """Return the same for this environment."""
    values = (environment.get(name) for name in (b"LC_ALL", b"LC_CTYPE", b"LANG"))
    return next(filter(None, values), b"C") in (b"C", b"POSIX")


def in_ascii(text: str) -> str:
    """Return the text with other characters spelled, or escaped as Python does."""
    if text.isascii():
        return text
    return text.translate(TABLE).encode("ascii", "backslashreplace").decode("ascii")
