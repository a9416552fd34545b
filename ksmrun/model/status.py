"""State of a host at one moment, for `ksmrun status`, and what is said of it."""

from __future__ import annotations

from enum import StrEnum

from ksmrun.model.frozen import dataclass
from ksmrun.model.ksm import HostFacts, Scheduling
from ksmrun.model.memory_group import GroupState
from ksmrun.model.wrap import InstalledLauncher, Wrap


class State(StrEnum):
    """Result of a check. UNKNOWN: this user may not see it."""

    OK = "ok"
    UNKNOWN = "?"
    TODO = "TODO"


@dataclass(frozen=True)
class Row:
    """One check: its result, the finding, and the one command to run."""

    name: str
    state: State
    found: str
    todo: str = ""


@dataclass(frozen=True)
class Merging:
    """Process that merges. maps: None if not counted."""

    pid: int
    name: str
    merged_bytes: int
    maps: int | None


@dataclass(frozen=True)
class Ksmd:
    """What ksmd did in a short time. Shares are of one core; None: not visible."""

    seconds: float
    used_share: float | None
    waited_share: float | None
    pages: int | None
    scheduling: Scheduling | None = None


@dataclass(frozen=True)
class Monitor:
    """Monitor that keeps its alerts in a file. runs: False if it ended without removing them."""

    pid: int
    runs: bool
    alerts: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Undoable:
    """Record of changes. names: the tunables; left: whoever made them did not put them back.

    left is None if this user may not see whether they still run.
    """

    names: tuple[str, ...]
    left: bool | None


@dataclass(frozen=True)
class Unread:
    """File that could not be read: what happened, and what to do."""

    what: str
    todo: str


@dataclass(frozen=True)
class HostStatus:
    """Everything that one look saw.

    setters: whoever sets KSM. lost: (PID, name) of programs that were to merge and do not.
    keyless: PIDs with a shared layout whose key was deleted. launchers: files that name a missing
    launcher. launcher: what new wraps name, None if it is missing. stale: wraps of units whose
    ExecStart= changed.
    """

    host: HostFacts
    setters: tuple[str, ...] = ()
    merging: tuple[Merging, ...] = ()
    groups: tuple[GroupState, ...] = ()
    ksmd: Ksmd | None = None
    lost: tuple[tuple[int, str], ...] = ()
    keyless: tuple[int, ...] = ()
    monitor: Monitor | Unread | None = None
    launchers: tuple[str, ...] = ()
    launcher: InstalledLauncher | Unread | None = None
    stale: tuple[Wrap, ...] = ()
    wrapped: int = 0
    records: tuple[Undoable, ...] | Unread = ()
    unreadable: int = 0
    hidepid: bool = False
