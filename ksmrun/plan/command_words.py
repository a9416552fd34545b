"""Words of a command: the program behind `sudo`, `env` and similar, and subcommands. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

from ksmrun.model.frozen import dataclass

# Commands that execute the rest of their words, and those of their options that take a word.
WRAPPERS = {
    "sudo": "CDghpRrTtuU",
    "doas": "Cu",
    "env": "uCS",
    "nice": "n",
    "ionice": "cnpPu",
    "chrt": "TPD",
    "taskset": "",
    "nohup": "",
    "setsid": "",
    "stdbuf": "ioe",
    "time": "fo",
    "timeout": "ks",
    "exec": "a",
    "command": "",
    "chroot": "",
    "runuser": "cgGsuw",
}
# Take a command as the value of -c, wherever that is.
SWITCHES = ("su", "runuser")
# Of a shell: they start nothing, so what the other commands start is the program.
QUIET_COMMANDS = (
    *(
        ":",
        ".",
        "[",
        "alias",
        "cd",
        "echo",
        "exit",
        "export",
        "mkdir",
        "printf",
        "read",
        "readonly",
    ),
    *(
        "return",
        "set",
        "shopt",
        "sleep",
        "source",
        "test",
        "trap",
        "true",
        "ulimit",
        "umask",
        "unset",
    ),
    *("wait", "}", "done", "esac", "fi"),
)
# Reserved words that a command may follow.
KEYWORDS = ("!", "{", "do", "elif", "else", "if", "then", "until", "while")
SHELLS = ("sh", "bash", "dash", "ash", "ksh", "mksh", "zsh")
# Before a command: for its environment, and redirections.
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=|\d*[<>]")
# Wrappers of wrappers.
DEPTH_MAX = 8


@dataclass(frozen=True)
class Options:
    """One-letter options of getopt(3): those without and those with a value."""

    alone: str
    with_value: str

    def read(self, words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
        """Return the options before the first other word, and the words from that one on."""
        given: dict[str, str] = {}
        rest = list(words)
        while rest and rest[0].startswith("-") and rest[0] != "-":
            word = rest.pop(0)
            if word == "--":
                break
            for index, letter in enumerate(word[1:], start=2):
                if letter not in self.with_value:
                    given[letter] = ""
                    continue
                given[letter] = word[index:] or (rest.pop(0) if rest else "")
                break
        return given, rest


def program_words(words: Sequence[str]) -> list[str]:
    """Return the words from the program on that wrappers, or a shell's -c, finally start."""
    rest = list(words)
    for _ in range(DEPTH_MAX):
        script = _script(rest)
        if script is not None:
            inner = _split(script)
            if inner is None:
                break
            rest = inner
        elif (behind := _behind_wrapper(rest)) is not None:
            rest = behind
        else:
            break
    return rest


def all_programs(words: Sequence[str], depth: int = DEPTH_MAX) -> list[list[str]]:
    """Return program_words() of each command of a shell's -c that starts something."""
    rest = list(words)
    for _ in range(DEPTH_MAX):
        behind = _behind_wrapper(rest)
        if behind is None:
            break
        rest = behind
    script = _script(rest)
    if script is None or not depth:
        return [rest] if rest else []
    return [
        program
        for command in simple_commands(script)
        for program in all_programs(command, depth - 1)
    ]


def simple_commands(script: str) -> list[list[str]]:
    """Return the words of each simple command (sh(1)) but QUIET_COMMANDS; none if it is unclear."""
    lexer = shlex.shlex(script, posix=True, punctuation_chars=";&|()\n")
    lexer.whitespace, lexer.whitespace_split = " \t\r", True
    found: list[list[str]] = [[]]
    try:
        for word in lexer:
            if word and not word.strip(";&|()\n"):
                found.append([])
            elif found[-1] or (word not in KEYWORDS and not ASSIGNMENT.match(word)):
                found[-1].append(word)
    except ValueError:
        return []
    return [words for words in found if words and words[0] not in QUIET_COMMANDS]


def _behind_wrapper(words: Sequence[str]) -> list[str] | None:
    """Return the words behind a command of WRAPPERS; None if it is none."""
    name = PurePosixPath(words[0]).name if words else ""
    if name not in WRAPPERS or _script(words) is not None:
        return None
    given, rest = Options("", WRAPPERS[name]).read(words[1:])
    if name == "env" and "S" in given:
        rest = [*(_split(given["S"]) or []), *rest]
    if name == "chroot":
        return rest[1:]
    # Assignments, and the first argument of timeout, taskset and chrt.
    while rest and ("=" in rest[0] or rest[0][:1].isdigit()):
        rest.pop(0)
    return rest


def _script(words: Sequence[str]) -> str | None:
    """Return the value of a shell's -c, or of that of SWITCHES; None if there is none."""
    name = PurePosixPath(words[0]).name if words else ""
    if name in SWITCHES:
        return option_value(words[1:], "-c --command")
    if name not in SHELLS:
        return None
    for word, after in pairwise(words[1:]):
        if not word.startswith("-"):
            return None
        if "c" in word.lstrip("-"):
            return after
    return None


def _split(script: str) -> list[str] | None:
    try:
        return shlex.split(script)
    except ValueError:
        return None


def subcommand(arguments: Sequence[str], with_value: str) -> str | None:
    """Return the first of plain_words()."""
    return next(iter(plain_words(arguments, with_value)), None)


def plain_words(arguments: Sequence[str], with_value: str) -> list[str]:
    """Return the words that are neither options nor the values of those in with_value."""
    return [arguments[index] for index in _plain(arguments, with_value)]


def before_plain(arguments: Sequence[str], with_value: str) -> Sequence[str]:
    """Return the words up to the first of plain_words()."""
    return arguments[: next(_plain(arguments, with_value), len(arguments))]


def _plain(arguments: Sequence[str], with_value: str) -> Iterator[int]:
    values = with_value.split()
    before = ""
    for index, word in enumerate(arguments):
        is_value, before = before in values, word
        if is_value:
            before = ""
        elif not word.startswith("-"):
            yield index


def option_value(arguments: Sequence[str], names: str) -> str | None:
    """Return the value of the first option of these names: -H web, -Hweb or --host=web."""
    for word, after in zip(arguments, [*arguments[1:], ""], strict=False):
        for name in names.split():
            if word == name:
                return after
            joined = f"{name}=" if name.startswith("--") else name
            if word.startswith(joined):
                return word.removeprefix(joined)
    return None
