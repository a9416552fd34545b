"""Processes that run already, and what is done to them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ksmrun.model.process import Identity


class Deed(StrEnum):
    """What a process is made to do, by the name it has for ksmrun-attach."""

    ON = "on"
    OFF = "off"
    MARK = "mark"
    UNMARK = "unmark"

    @property
    def merges(self) -> bool:
        """Whether it is to merge afterwards."""
        return self in (Deed.ON, Deed.MARK)


@dataclass(frozen=True)
class Candidate:
    """A running process. state: as in proc_pid_stat(5). tracer: the PID that traces it, or 0.
    merges: by the flag; None before 6.14, which do not show it. maps: None where they are not to be
    read.
    """

    identity: Identity
    state: str
    is_kernel_thread: bool
    tracer: int
    merges: bool | None
    merged_pages: int
    maps: int | None


@dataclass(frozen=True)
class Attached:
    """What came of it. done: whether it is as asked for; why and todo: where it is not.

    stopped_ns: how long it stood still at the longest; None where it was not touched.
    """

    candidate: Candidate
    done: bool
    why: str = ""
    todo: str = ""
    stopped_ns: int | None = None
