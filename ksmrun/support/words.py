"""Text that others control, made safe to show: escaped, on one line, valid UTF-8."""

from __future__ import annotations

import math
from typing import Any

# Characters of a value that a message repeats.
SHOWN_MAX = 60
# surrogateescape (PEP 383) maps each undecodable byte to one of these.
ESCAPED_FIRST, ESCAPED_LAST = 0xDC80, 0xDCFF


def printable(text: str) -> str:
    r"""Return one line without anything that controls a terminal, a log or a mail header.

    Control characters (C0, DEL, C1), bidi controls, line separators and surrogates become \xNN,
    \uNNNN or \UNNNNNNNN. A backslash stays as it is: the text is for people, not to be decoded.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def shortened(text: str, most: int = SHOWN_MAX) -> str:
    """Return the text, cut with "..." where it is too long to be repeated in a message."""
    return text if len(text) <= most else f"{text[:most]}..."


def quoted(text: str) -> str:
    """Return the same in quotes, for messages: so that also an empty text is seen."""
    return f"'{utf8(shortened(text))}'"


def utf8(text: str) -> str:
    r"""Return the text with undecodable bytes as \xNN and other lone surrogates as \uNNNN."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(_escape(c) if "\ud800" <= c <= "\udfff" else c for c in text)
    return text


def for_json(value: Any) -> Any:
    """Return the value with every string passed through utf8(), and NaN and infinities as null.

    RFC 8259 allows neither lone surrogates nor NaN: strict readers reject the whole document.
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
