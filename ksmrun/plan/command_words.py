"""Words of a command: the program behind `sudo`, `env` and similar, and subcommands. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from ksmrun.model.frozen import dataclass

# Commands that execute the rest of their words; those of their options that take a word, letters
# and long names.
WRAPPERS: dict[str, tuple[str, ...]] = {
    "sudo": ("CDghpRrTtuU", "user", "group", "host", "chroot", "prompt", "chdir"),
    "doas": ("Cu",),
    "env": ("uCS", "unset", "chdir", "split-string"),
    "nice": ("n", "adjustment"),
    "ionice": ("cnpPu", "class", "classdata"),
    "chrt": ("TPD", "sched-runtime", "sched-period", "sched-deadline"),
    "taskset": ("",),
    "nohup": ("",),
    "setsid": ("",),
    "setpriv": ("",),
    "stdbuf": ("ioe", "input", "output", "error"),
    "time": ("fo", "format", "output"),
    "timeout": ("ks", "kill-after", "signal"),
    "exec": ("a",),
    "command": ("",),
    "chroot": ("",),
    "runuser": ("cgGsuw", "user", "group", "supp-group", "command", "shell"),
}
# Of these the first word that is no option is theirs.
WITH_WORD = ("chroot", "taskset", "chrt", "timeout")
# Take a command as the value of -c, wherever that is.
SWITCHES = ("su", "runuser")
# Of a shell: they start nothing, so what the other commands start is the program.
QUIET_COMMANDS = (
    *(":", ".", "[", "}", "alias", "cd", "done", "echo", "esac", "exit", "export", "fi", "local"),
    *("mkdir", "printf", "pwd", "read", "readonly", "return", "set", "shopt", "sleep", "source"),
    *("test", "trap", "true", "ulimit", "umask", "unset", "wait"),
)
# Reserved words that a command may follow.
KEYWORDS = ("!", "{", "do", "elif", "else", "if", "then", "until", "while")
SHELLS = ("sh", "bash", "dash", "ash", "ksh", "mksh", "zsh")
# Before a command: for its environment, and redirections.
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=|\d*[<>]")
# 2>&1 and the like: their & separates nothing.
DUPLICATE = re.compile(r"\d*[<>]&\s*(?:\d+-?|-)|&>>?")
# Wrappers of wrappers.
DEPTH_MAX = 8


@dataclass(frozen=True)
class Options:
    """Options of getopt(3) that take a value: letters, and long names."""

    with_value: str
    long_with_value: tuple[str, ...] = ()

    def read(self, words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
        """Return the options before the first other word, and the words from that one on."""
        given: dict[str, str] = {}
        rest = list(words)
        while rest and rest[0].startswith("-") and rest[0] != "-":
            word = rest.pop(0)
            if word == "--":
                break
            if word.startswith("--"):
                name, is_joined, value = word[2:].partition("=")
                takes_next = name in self.long_with_value and not is_joined
                given[name] = rest.pop(0) if takes_next and rest else value
                continue
            for index, letter in enumerate(word[1:], start=2):
                if letter not in self.with_value:
                    given[letter] = ""
                    continue
                given[letter] = word[index:] or (rest.pop(0) if rest else "")
                break
        return given, rest


# bash(1), dash(1)
SHELL_OPTIONS = Options("oO", ("rcfile", "init-file"))


def program_words(words: Sequence[str]) -> list[str]:
    """Return the words from the program on that is finally started; the same, if it is not one."""
    found = all_programs(words)
    return found[0] if len(found) == 1 else list(words)


def all_programs(words: Sequence[str], depth: int = DEPTH_MAX) -> list[list[str]]:
    """Return the words of each program that wrappers, or the commands of a shell's -c, start."""
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
    lexer = shlex.shlex(DUPLICATE.sub(" ", script), posix=True, punctuation_chars=";&|()\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    found: list[list[str]] = [[]]
    is_comment = False
    try:
        for word in lexer:
            is_separator = bool(word) and not word.strip(";&|()\n")
            is_comment = "\n" not in word if is_comment else word.startswith("#")
            if is_separator:
                found.append([])
            elif not is_comment and (
                found[-1] or (word not in KEYWORDS and not ASSIGNMENT.match(word))
            ):
                found[-1].append(word)
    except ValueError:
        return []
    return [words for words in found if words and words[0] not in QUIET_COMMANDS]


def _behind_wrapper(words: Sequence[str]) -> list[str] | None:
    """Return the words behind a command of WRAPPERS; None if it is none."""
    name = PurePosixPath(words[0]).name if words else ""
    if name not in WRAPPERS or _script(words) is not None:
        return None
    letters, *long_names = WRAPPERS[name]
    given, rest = Options(letters, tuple(long_names)).read(words[1:])
    split = given.get("S", given.get("split-string"))
    if name == "env" and split is not None:
        try:
            rest = [*shlex.split(split), *rest]
        except ValueError:
            return None
    if name in WITH_WORD:
        return rest[1:]
    # Assignments.
    while rest and "=" in rest[0]:
        rest.pop(0)
    return rest


def _script(words: Sequence[str]) -> str | None:
    """Return the value of a shell's -c, or of that of SWITCHES; None if there is none."""
    name = PurePosixPath(words[0]).name if words else ""
    if name in SWITCHES:
        return option_value(words[1:], "-c --command")
    if name not in SHELLS:
        return None
    given, rest = SHELL_OPTIONS.read([re.sub(r"^\+(?=.)", "-", word) for word in words[1:]])
    return rest[0] if "c" in given and rest else None


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
