"""Options of `ksmrun check`."""

from __future__ import annotations

from dataclasses import dataclass

from ksmrun.options.command import Command
from ksmrun.options.item import choice, switch
from ksmrun.options.launch import LaunchOptions
from ksmrun.options.output import FORMAT, NO_HEADER, Format

JSON = "Print one JSON object."


@dataclass(frozen=True)
class CheckOptions(LaunchOptions):
    """Options of `ksmrun check`: those of a launch, and the output form."""

    as_json: bool = switch(JSON, name="--json")
    format: Format = choice(FORMAT, Format.TABLE)
    no_header: bool = switch(NO_HEADER)


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
