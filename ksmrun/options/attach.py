"""Options of `ksmrun attach` and `detach`."""

from __future__ import annotations

from ksmrun.model.frozen import dataclass
from ksmrun.options.command import Command
from ksmrun.options.item import switch
from ksmrun.options.output import JSON
from ksmrun.options.select import SelectOptions


@dataclass(frozen=True)
class AttachOptions(SelectOptions):
    """Options of `ksmrun attach`."""

    dry_run: bool = switch("Show what would be done, and do nothing.")
    as_json: bool = switch(JSON, name="--json")


@dataclass(frozen=True)
class DetachOptions(AttachOptions):
    """Options of `ksmrun detach`."""

    force: bool = switch("Detach even if the memory does not fit.")


CODES = (("1", "at least one process was left alone"),)
ATTACH = Command(
    ("attach",),
    "Make running programs merge, without a restart",
    (
        "One thread of each process is stopped for a millisecond or less and made to set the "
        "process's own merge flag. Before Linux 6.4 the memory that it has is marked instead; run "
        "`ksmrun monitor --follow` for what it maps later.",
        "Memory that a program excluded with MADV_UNMERGEABLE before, to keep secrets out, merges "
        "too, as the kernel cannot tell it from other memory; what it excludes later stays out. "
        "Start such programs with `ksmrun run` instead.",
    ),
    AttachOptions,
    (
        ("Attach to a process", "sleep 60 & sudo ksmrun attach $!"),
        ("Attach to a service", "sudo ksmrun attach --unit game.service"),
    ),
    CODES,
)
DETACH = Command(
    ("detach",),
    "Make running programs stop merging, and give them their own pages back",
    ("Refused where the pages would not fit into the host's memory or a cgroup's limit.",),
    DetachOptions,
    (
        ("Detach from a process", "sleep 60 & sudo ksmrun detach $!"),
        ("Detach from a service", "sudo ksmrun detach --unit game.service"),
    ),
    CODES,
)
