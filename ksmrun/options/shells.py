"""Argument of `ksmrun completion`."""

from __future__ import annotations

from enum import StrEnum

from ksmrun.model.frozen import dataclass
from ksmrun.options.command import Command
from ksmrun.options.item import argument


class Shell(StrEnum):
    """Shell with completion."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@dataclass(frozen=True)
class ShellOptions:
    """Options of `ksmrun completion`."""

    shell: Shell = argument(
        "Shell that the script is for.",
        "SHELL",
        of=Shell,
        is_required=True,
    )


COMPLETION = Command(
    ("completion",),
    "Print the script by which a shell completes ksmrun",
    (
        "Packages put it where the shell finds it by itself. From a virtual environment, add the "
        'line to ~/.bashrc or ~/.zshrc: eval "$(ksmrun completion bash)".',
    ),
    ShellOptions,
    (
        ("Complete in this bash", 'eval "$(ksmrun completion bash)"'),
        ("Complete in this fish", "ksmrun completion fish | source"),
    ),
)
