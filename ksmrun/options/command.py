"""A command: its words, texts, options and examples."""

from __future__ import annotations

from dataclasses import dataclass, field

from ksmrun.options.item import Item, items


@dataclass(frozen=True)
class NoOptions:
    """For commands without options."""


@dataclass(frozen=True)
class Command:
    """words: as they are typed after ksmrun. summary: a sentence without full stop, beginning with
    a verb. text: paragraphs. passes: what follows the options is another program's.
    reads_variables: the variables of its options count. examples: what
    each does, and the line to paste. exit_codes: beside 0 and 2.
    """

    words: tuple[str, ...]
    summary: str
    text: tuple[str, ...] = ()
    options: type = NoOptions
    examples: tuple[tuple[str, str], ...] = ()
    exit_codes: tuple[tuple[str, str], ...] = (("1", "the command failed"),)
    passes: str = ""
    reads_variables: bool = False
    commands: tuple[Command, ...] = ()
    see_also: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """The last word."""
        return self.words[-1] if self.words else "ksmrun"

    @property
    def line(self) -> str:
        """As it is typed."""
        return " ".join(("ksmrun", *self.words))

    @property
    def arguments(self) -> tuple[Item, ...]:
        """What is named by its place."""
        return tuple(each for each in items(self.options) if each.is_argument)

    @property
    def flags(self) -> tuple[Item, ...]:
        """What is named by its name."""
        return tuple(each for each in items(self.options) if not each.is_argument)

    @property
    def usage(self) -> str:
        """The synopsis."""
        parts = [self.line]
        parts += ["[OPTIONS]"] if self.flags else []
        parts += ["COMMAND"] if self.commands else []
        for each in self.arguments:
            word = f"{each.metavar}..." if each.is_many else each.metavar
            parts.append(word if each.is_required else f"[{word}]")
        parts += [self.passes] if self.passes else []
        return " ".join(parts)
