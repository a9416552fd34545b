"""Commands of `ksmrun trust` and their options."""

from __future__ import annotations

from pathlib import Path

from ksmrun.model.frozen import dataclass
from ksmrun.model.trust import TRUST_FILE
from ksmrun.options.command import Command, NoOptions
from ksmrun.options.item import argument, path, switch
from ksmrun.options.output import JSON, TableOptions

FILE = "Trust file, to try it before it is in place."


@dataclass(frozen=True)
class ShowOptions(TableOptions):
    """Options of `ksmrun trust show`."""

    file: Path = path(FILE, TRUST_FILE)


@dataclass(frozen=True)
class CheckOptions:
    """Options of `ksmrun trust check`."""

    file: Path = path(FILE, TRUST_FILE)
    as_json: bool = switch(JSON, name="--json")


@dataclass(frozen=True)
class PlanOptions(TableOptions):
    """Options of `ksmrun trust plan`."""

    file: Path = path(FILE, TRUST_FILE)


@dataclass(frozen=True)
class ClaimOptions:
    """Argument of `ksmrun trust claim`."""

    domain: str = argument("Domain of the trust file.", "DOMAIN", is_required=True)


@dataclass(frozen=True)
class ReleaseOptions:
    """Argument of `ksmrun trust release`."""

    domain: str | None = argument(
        "Domain that is released if it is the one; without it, whichever it is.", "DOMAIN"
    )


SHOW = Command(
    ("trust", "show"),
    "Show the trust domain of every merging process, and who merges unasked",
    (
        "Also of processes that ksmrun never started: by systemd's MemoryKSM=, QEMU's mem-merge, "
        "or their own madvise(2) or prctl(2). Without root only your own are seen.",
    ),
    ShowOptions,
    (("Show who merges", "sudo ksmrun trust show"),),
)
CHECK = Command(
    ("trust", "check"),
    "Check the trust file, and that only one domain merges",
    ("For scripts: a line for each finding, and the exit code.",),
    CheckOptions,
    (("Check a file before it is in place", "sudo ksmrun trust check --file trust.toml"),),
    (("1", "something is wrong, or cannot be seen without root"),),
)
INIT = Command(
    ("trust", "init"),
    "Print a trust file that is proposed from what merges now",
    (
        "It is for you to read and change: what runs together is not always what may know each "
        "other's memory.",
    ),
    NoOptions,
    (("Propose a file", "sudo ksmrun trust init"),),
)
CLAIM = Command(
    ("trust", "claim"),
    "Let a domain merge, unless a process of another one, or of none, does",
    (
        "Launches with --domain do so themselves if root starts them. Until another domain "
        "claims, or `ksmrun trust release`, those of other users may merge too.",
    ),
    ClaimOptions,
    (("Let a domain merge", "sudo ksmrun trust claim web"),),
    (("1", "it may not merge now, and the message says whom it lost to"),),
)
RELEASE = Command(
    ("trust", "release"),
    "Let no domain start to merge any more; running programs keep merging",
    ("Also replaces a state file that is damaged.",),
    ReleaseOptions,
    (("Release whichever domain it is", "sudo ksmrun trust release"),),
)
PLAN = Command(
    ("trust", "plan"),
    "Show how domains are kept apart by memory nodes (NUMA), and whether they are now",
    (
        "For domains that have to merge on one host at the same time. With merge_across_nodes=0 "
        "pages merge within a node only. Changes nothing: it prints what to run.",
    ),
    PlanOptions,
    (("Plan it, and check the programs that merge now", "sudo ksmrun trust plan"),),
    (("1", "domains are not kept apart now, or cannot be"),),
)
TRUST = Command(
    ("trust",),
    "Keep apart who may not know each other's memory: trust domains",
    ("See `ksmrun help trust`.",),
    NoOptions,
    (("Show who merges", "sudo ksmrun trust show"),),
    commands=(SHOW, INIT, CHECK, CLAIM, RELEASE, PLAN),
)
