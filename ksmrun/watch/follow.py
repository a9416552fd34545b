"""Mark memory that attached programs mapped later, on kernels without the flag (before 6.4)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ksmrun.attach.running import carry_out, look
from ksmrun.facts.ksm import ROOT
from ksmrun.facts.process import read_statm
from ksmrun.facts.text import read_int
from ksmrun.host.attach_state import attached, attached_file, is_running
from ksmrun.host.tunables import MAX_MAP_COUNT
from ksmrun.model.attach import Deed
from ksmrun.model.errors import KsmrunError
from ksmrun.model.watch import Followed
from ksmrun.plan.attach import refusal
from ksmrun.watch.budget import Budget

# Share of one core; reading all VMAs of a process takes 21 ms for 1 GiB (tests/bench/follow.py).
SHARE_MAX = 0.01
# A program whose size is unchanged may still have unmapped some memory and mapped other.
LOOK_AGAIN_SECONDS = 300.0
Say = Callable[[str, str], None]


@dataclass(frozen=True)
class _Marked:
    """Time of the last marking, and size of its private memory then, in pages."""

    seconds: float
    data_pages: int
    wrong: str = ""

    def is_due(self, now: float, data_pages: int) -> bool:
        return data_pages != self.data_pages or now - self.seconds >= LOOK_AGAIN_SECONDS


class Follower:
    """Follower. Call follow() with each sample."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._marked: dict[tuple[int, int], _Marked] = {}
        self._budget = Budget(SHARE_MAX, _cpu_seconds)
        self._stopped_ns_max = 0
        self._wrong = ""

    def follow(self) -> Followed:
        """Mark programs that have grown, within the CPU budget; the rest waits."""
        running = [key for key in self._known() if is_running(*key)]
        self._marked = {key: each for key, each in self._marked.items() if key in running}
        # Longest unmarked first.
        for key in sorted(running, key=self._marked_at):
            if not self._budget.has():
                break
            with self._budget:
                self._mark(*key)
        return Followed(len(running), self._budget.spent_seconds, self._stopped_ns_max)

    def _known(self) -> list[tuple[int, int]]:
        file = attached_file()
        found, wrong = dict[int, int](), ""
        try:
            found = {} if file is None else attached(file)
        except KsmrunError as error:
            wrong = str(error)
        if wrong and wrong != self._wrong:
            self._say("error", wrong)
        self._wrong = wrong
        return list(found.items())

    def _marked_at(self, key: tuple[int, int]) -> float:
        return self._marked[key].seconds if key in self._marked else 0.0

    def _mark(self, pid: int, start_ticks: int) -> None:
        try:
            data_pages = _data_pages(pid)
        except OSError:
            return
        now = time.monotonic()
        before = self._marked.get((pid, start_ticks))
        if before is not None and not before.is_due(now, data_pages):
            return
        wrong = self._attach(pid, start_ticks)
        if wrong and (before is None or wrong != before.wrong):
            self._say("warning", f"not followed: PID {pid}: {wrong}")
        self._marked[pid, start_ticks] = _Marked(now, data_pages, wrong)

    def _attach(self, pid: int, start_ticks: int) -> str:
        """Mark one program. Return why it was left alone; empty if it was marked."""
        try:
            candidate = look(pid)
            if candidate.identity.start_ticks != start_ticks:
                return "it has ended"
            refused = refusal(candidate, read_int(ROOT / MAX_MAP_COUNT), Deed.MARK)
            if refused is not None:
                return "; ".join(refused)
            (done,) = carry_out([candidate], Deed.MARK)
        except KsmrunError as error:
            return str(error)
        self._stopped_ns_max = max(self._stopped_ns_max, done.stopped_ns or 0)
        return "" if done.done else f"{done.why}; {done.todo}"


def _data_pages(pid: int) -> int:
    """Return the pages of private writable memory (proc_pid_statm(5)). Raises OSError."""
    return read_statm(Path(f"/proc/{pid}"))[5]


def _cpu_seconds() -> float:
    """Return the CPU time of this thread and of the helpers that have ended."""
    times = os.times()
    return time.thread_time() + times.children_user + times.children_system
