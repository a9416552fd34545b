"""Command: its words, texts, options and examples."""

from __future__ import annotations

from ksmrun.model.frozen import dataclass
from ksmrun.options.item import Item, items

# Switches of every command, and of ksmrun itself.
HELP = ("-h", "--help")
HELP_TEXT = "Show this help."
VERSION = ("--version", "Show the versions of ksmrun and kernel.")


@dataclass(frozen=True)
class NoOptions:
    """Options of a command without any."""


@dataclass(frozen=True)
class Command:
    """Command. words: as typed after ksmrun. text: paragraphs.

    summary: a sentence without full stop, beginning with a verb. passes: what follows the options
    belongs to another program. reads_variables: the variables of its options count. excludes:
    options of which one at most can be given. examples: what each does, and the line to paste.
    exit_codes: those beside 0 and 2.
    """

    words: tuple[str, ...]
    summary: str
    text: tuple[str, ...] = ()
    options: type = NoOptions
    examples: tuple[tuple[str, str], ...] = ()
    exit_codes: tuple[tuple[str, str], ...] = (("1", "the command failed"),)
    passes: str = ""
    reads_variables: bool = False
    excludes: tuple[tuple[str, ...], ...] = ()
    commands: tuple[Command, ...] = ()

    @property
    def name(self) -> str:
        """Last word."""
        return self.words[-1] if self.words else "ksmrun"

    @property
    def line(self) -> str:
        """Complete words, as typed."""
        return " ".join(("ksmrun", *self.words))

    @property
    def all_exit_codes(self) -> tuple[tuple[str, str], ...]:
        """Exit codes with those that all commands have."""
        codes = [("0", "success"), *self.exit_codes]
        # `ksmrun run` ends with 125 for what is 2 elsewhere.
        if not {"2", "125"} & dict(codes).keys():
            codes.append(("2", "wrong use of options or arguments"))
        # "other" comes last.
        return tuple(sorted(codes, key=lambda code: int(code[0]) if code[0].isdigit() else 256))

    @property
    def arguments(self) -> tuple[Item, ...]:
        """Positional arguments."""
        return tuple(each for each in items(self.options) if each.is_argument)

    @property
    def flags(self) -> tuple[Item, ...]:
        """Named options."""
        return tuple(each for each in items(self.options) if not each.is_argument)

    @property
    def usage(self) -> str:
        """Synopsis."""
        parts = [self.line]
        parts += ["[OPTIONS]"] if self.flags else []
        parts += ["COMMAND"] if self.commands else []
        for each in self.arguments:
            word = f"{each.metavar}..." if each.is_many else each.metavar
            parts.append(word if each.is_required else f"[{word}]")
        parts += [self.passes] if self.passes else []
        return " ".join(parts)
