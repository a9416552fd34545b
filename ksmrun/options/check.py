"""Options of `ksmrun check`."""

from __future__ import annotations

from ksmrun.model.frozen import dataclass
from ksmrun.options.command import Command
from ksmrun.options.launch import LaunchOptions
from ksmrun.options.output import TableOptions


@dataclass(frozen=True)
class CheckOptions(LaunchOptions, TableOptions):
    """Options of `ksmrun check`: those of a launch, and the output form."""


CHECK = Command(
    ("check",),
    "Check whether memory would merge here, and if not, what to do",
    (
        "With a COMMAND, also look at that program and show how `ksmrun run` would start it with "
        "the same options.",
    ),
    CheckOptions,
    (
        ("Check the host", "ksmrun check"),
        ("Check a program, too", "ksmrun check -- sleep 1"),
    ),
    (("1", "a program launched now would not merge"),),
    passes="[-- COMMAND [ARG...]]",
    reads_variables=True,
)
