"""Put the launcher before the commands of an Exec line, and leave the rest as written.

The grammar is that of systemd.service(5), "Command lines", and of config_parse_exec() in systemd's
src/core/load-fragment.c: prefixes, then the path, then words; a lone `;` starts another command.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ksmrun.model.frozen import dataclass

WHITESPACE = " \t\n\r"
# systemd 258 added "|": execute by the user's shell.
PREFIXES = "-@:+!|"
ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"} | {
    "\\": "\\", '"': '"', "'": "'", "s": " "
}  # fmt: skip
# A word that systemd replaces by none or several (replace_env_argv() in src/basic/env-util.c).
VARIABLE = re.compile(r"\$[^${]")
# A byte, or a character, by its number (cunescape_one() in src/basic/escape.c).
NUMBER = re.compile(r"(x[0-9a-fA-F]{2}|[0-7]{3})|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}")


class ExecLineError(ValueError):
    """systemd would not accept this line either, or it cannot be wrapped."""


@dataclass(frozen=True)
class Command:
    """One command of an Exec line. arguments: the text after path and argv[0], untouched."""

    prefixes: str
    path: str
    argv0: str | None
    arguments: str

    @property
    def expands(self) -> bool:
        """Return whether $VAR in its words stands for the environment's."""
        return ":" not in self.prefixes


def parse(line: str) -> list[Command]:
    """Return the commands of one value of ExecStart=. Raises ExecLineError."""
    commands, rest = [], line.strip(WHITESPACE)
    while rest:
        word, rest = next_word(rest)
        text = unquote(word)
        path = text.lstrip(PREFIXES)
        prefixes = text[: len(text) - len(path)]
        if not path:
            raise ExecLineError("a command without a path")
        if "|" in prefixes:
            raise ExecLineError("what the prefix | has the user's shell start cannot be wrapped")
        argv0 = None
        if "@" in prefixes:
            if not rest or _is_separator(rest):
                raise ExecLineError("the prefix @ without a name")
            argv0, rest = next_word(rest)
            if ":" not in prefixes and VARIABLE.match(unquote(argv0)):
                raise ExecLineError(f"the name after @ is {argv0}, which may be no word or several")
        start = rest
        while rest and not _is_separator(rest):
            rest = next_word(rest)[1]
        arguments = start[: len(start) - len(rest)].strip(WHITESPACE)
        commands.append(Command(prefixes, path, argv0, arguments))
        rest = rest[1:].lstrip(WHITESPACE)
    if not commands:
        raise ExecLineError("no command")
    return commands


def wrap(line: str, words: Callable[[Command], list[str]]) -> str:
    """Return the line with words(command) before each command.

    These are the launcher and its options, escaped for the file.
    """
    return " ; ".join(_wrapped(command, words(command)) for command in parse(line))


def _wrapped(command: Command, words: list[str]) -> str:
    """Wrap a command.

    Its path becomes an argument, where $ would be expanded; @'s name an option.
    """
    prefixes = command.prefixes.replace("@", "")
    parts = list(words)
    path, argv0 = simplified(command.path), command.argv0
    # Without @ the path as written is argv[0] too, where $ is expanded in any case.
    if argv0 is None and (path != command.path or (command.expands and "$" in path)):
        argv0 = _quote_text(command.path)
    if argv0 is not None:
        parts += ["--argv0", argv0]
    # The path keeps its specifiers: only what is special at its new position is escaped.
    path = path.replace("$", "$$") if command.expands else path
    parts += ["--", _quote_text(path), *([command.arguments] if command.arguments else [])]
    return prefixes + " ".join(parts)


def quote(word: str, *, expands: bool) -> str:
    """Return a word that systemd reads as exactly this: specifiers, $ and quotes escaped."""
    text = word.replace("%", "%%")
    return _quote_text(text.replace("$", "$$") if expands else text)


def program_word(path: str) -> str:
    """Return a line's first word for a program at this path.

    A $ stays in the path and would be expanded in argv[0] only; if the path has one, all expansion
    in the line is switched off.
    """
    return (":" if "$" in path else "") + quote(path, expands=False)


def _quote_text(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    needs = not text or text == ";" or any(c in text for c in WHITESPACE + "\"'\\")
    # Characters at which a line of a unit file would end.
    plain = plain.replace("\n", "\\n").replace("\r", "\\r")
    return f'"{plain}"' if needs else plain


def simplified(path: str) -> str:
    """Return the path as systemd executes it: without doubled slashes and /./ (path_simplify())."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return ("/" if path.startswith("/") else "") + "/".join(parts)


def unquote(word: str) -> str:
    """Return a word without its quotes, with C escapes resolved. Raises ExecLineError."""
    text, quote_mark, index = "", "", 0
    while index < len(word):
        character = word[index]
        if character == "\\":
            resolved, used = _escape(word[index + 1 :])
            text += resolved
            index += 1 + used
            continue
        if character == quote_mark:
            quote_mark = ""
        elif not quote_mark and character in "\"'":
            quote_mark = character
        else:
            text += character
        index += 1
    return text


def _escape(rest: str) -> tuple[str, int]:
    """Return the character of a C escape, and its length after the backslash."""
    if not rest:
        raise ExecLineError("a backslash at the end")
    if rest[0] in ESCAPES:
        return ESCAPES[rest[0]], 1
    if found := NUMBER.match(rest):
        word, is_byte = found[0], found[1] is not None
        number = int(word, 8) if word.isdecimal() else int(word[1:], 16)
        # systemd rejects NUL; bytes beyond ASCII, and surrogates, may not be characters.
        if 0 < number < (0x80 if is_byte else 0xD800) or 0xE000 <= number < 0x110000:
            return chr(number), len(word)
    raise ExecLineError(f"the escape \\{rest[:1]} cannot be kept")


def next_word(text: str) -> tuple[str, str]:
    """Return the first word as written, and the rest of the text. Raises ExecLineError."""
    quote_mark, index = "", 0
    while index < len(text):
        character = text[index]
        if character == "\\":
            index += 1
        elif character == quote_mark:
            quote_mark = ""
        elif not quote_mark and character in "\"'":
            quote_mark = character
        elif not quote_mark and character in WHITESPACE:
            break
        index += 1
    if quote_mark:
        raise ExecLineError(f"the quote {quote_mark} is not closed")
    return text[:index], text[index:].lstrip(WHITESPACE)


def _is_separator(text: str) -> bool:
    return text[0] == ";" and (len(text) == 1 or text[1] in WHITESPACE)
