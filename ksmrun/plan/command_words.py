"""Words of a command: the program behind `sudo`, `env` and similar, and subcommands. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
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
}
SHELLS = ("sh", "bash", "dash", "ash", "ksh", "mksh", "zsh")
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
        if not rest:
            break
        name = PurePosixPath(rest[0]).name
        if name in SHELLS:
            inner = _shell_words(rest[1:])
            if inner is None:
                break
            rest = inner
        elif name in WRAPPERS:
            _, rest = Options("", WRAPPERS[name]).read(rest[1:])
            # Assignments, and the first argument of timeout, taskset and chrt.
            while rest and ("=" in rest[0] or rest[0][:1].isdigit()):
                rest.pop(0)
        else:
            break
    return rest


def _shell_words(arguments: Sequence[str]) -> list[str] | None:
    """Return the first command of a shell's -c; None if there is none, or it is too complex."""
    for index, word in enumerate(arguments[:-1]):
        if not word.startswith("-"):
            return None
        if "c" in word.lstrip("-"):
            try:
                return shlex.split(arguments[index + 1])
            except ValueError:
                return None
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
