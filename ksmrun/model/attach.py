"""Running processes, and the changes made to them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ksmrun.model.process import Identity


class Deed(StrEnum):
    """Change to a process, by the name that ksmrun-attach has for it."""

    ON = "on"
    OFF = "off"
    MARK = "mark"
    UNMARK = "unmark"

    @property
    def merges(self) -> bool:
        """Return whether the process merges afterwards."""
        return self in (Deed.ON, Deed.MARK)


@dataclass(frozen=True)
class Candidate:
    """Running process that may be attached to. state: as in proc_pid_stat(5).

    tracer: PID of its tracer, or 0. merges: whether it has the flag; None before 6.14, which do not
    show it. maps: number of VMAs; None if not to be counted. marks: whether memory of it is marked,
    by the flag or its own madvise(2); None before 6.14.
    """

    identity: Identity
    state: str
    is_kernel_thread: bool
    tracer: int
    merges: bool | None
    merged_pages: int
    maps: int | None
    marks: bool | None = None


@dataclass(frozen=True)
class Attached:
    """Result of one change. done: whether the process is as asked for; why and todo: if not.

    stopped_ns: longest time that it was stopped; None if it was not touched.
    """

    candidate: Candidate
    done: bool
    why: str = ""
    todo: str = ""
    stopped_ns: int | None = None
