"""Names of others as text that may be shown: escaped, of one line, and valid UTF-8."""

from __future__ import annotations

import math
from typing import Any

# Characters of a value that a message repeats.
SHOWN_MAX = 60
# surrogateescape (PEP 383) keeps an undecodable byte as one of these.
ESCAPED_FIRST, ESCAPED_LAST = 0xDC80, 0xDCFF


def printable(text: str) -> str:
    r"""Return one line without anything that steers a terminal, a log or a mail header.

    Control characters (C0, DEL, C1), bidi controls, line separators and surrogates come as \xNN,
    \uNNNN or \UNNNNNNNN. A backslash stays as it is: this is for people, not to be undone.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def shortened(text: str, most: int = SHOWN_MAX) -> str:
    """Return the text, cut with "..." where it is too long to be repeated in a message."""
    return text if len(text) <= most else f"{text[:most]}..."


def utf8(text: str) -> str:
    r"""Return the text with bytes that are no UTF-8 as \xNN, other lone surrogates as \uNNNN."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(_escape(c) if "\ud800" <= c <= "\udfff" else c for c in text)
    return text


def for_json(value: Any) -> Any:
    """Return the value with all its texts as utf8() has them, and null for what is no number.

    RFC 8259 knows neither lone surrogates nor NaN: strict readers refuse the whole document.
    """
    if isinstance(value, str):
        return utf8(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {for_json(key): for_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [for_json(each) for each in value]
    return value


def _escape(character: str) -> str:
    number = ord(character)
    if ESCAPED_FIRST <= number <= ESCAPED_LAST:
        return f"\\x{number - 0xDC00:02x}"
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
