"""End the merging of processes that the trust file does not let merge now (--enforce)."""

from __future__ import annotations

import os
from collections.abc import Callable

from ksmrun.attach.running import carry_out, look
from ksmrun.facts.ksm import ROOT
from ksmrun.facts.launcher import cached_probe
from ksmrun.host.unmerge_safety import check_fits
from ksmrun.model.errors import KsmrunError
from ksmrun.model.trust import Member
from ksmrun.model.watch import TrustView
from ksmrun.plan.attach import deed, deed_to, refusal
from ksmrun.plan.trust import may_enforce, who, wrong_with

Say = Callable[[str, str], None]
# PID and start time.
Key = tuple[int, int]


class Enforcer:
    """Enforcer. again: returns where a process is now, as it may have moved since the sample."""

    def __init__(self, again: Callable[[int], Member | None], say: Say) -> None:
        self._again, self._say = again, say
        self._refused: dict[Key, str] = {}

    def enforce(self, trust: TrustView | None) -> None:
        """Detach, one by one, those that should not merge; say once of each why it could not be."""
        if trust is None or not trust.is_sure:
            return
        refused: dict[Key, str] = {}
        for each in trust.members:
            if not may_enforce(each, trust.held_by):
                continue
            merger = each.merger
            why = self._end(each, trust.held_by)
            if why:
                key = merger.pid, merger.start_ticks
                refused[key] = why
                if why != self._refused.get(key):
                    self._say("error", f"not detached: {who(merger)}: {why}")
        self._refused = refused

    def _end(self, found: Member, held_by: str | None) -> str:
        """Detach one process. Return why that was not done; empty if it was, or need not be."""
        pid = found.merger.pid
        if pid == os.getpid():
            return "it is the monitor itself; restart it without merging"
        try:
            candidate = look(pid)
            now = self._again(pid)
            is_same = now is not None and (
                now.merger.start_ticks == found.merger.start_ticks == candidate.identity.start_ticks
            )
            if now is None or not is_same or not may_enforce(now, held_by):
                return ""
            wanted = deed(merges=False, has_flag=bool(cached_probe().prctl_supported))
            if (needed := deed_to(candidate, wanted)) is None:
                return ""
            if (refused := refusal(candidate, None, needed)) is not None:
                return "; ".join(refused)
            _require_room(pid, candidate.merged_pages)
            (done,) = carry_out([candidate], needed)
        except KsmrunError as error:
            return str(error)
        if not done.done:
            return f"{done.why}; {done.todo}"
        self._say("info", f"detached: {who(found.merger)}, which {wrong_with(now, held_by)}")
        return ""


def _require_room(pid: int, merged_pages: int) -> None:
    """Raise KsmrunError if the process's own pages do not fit, on the host or in its cgroup."""
    try:
        check_fits({pid: merged_pages}, ROOT)
    except KsmrunError as error:
        # Nobody is there to force it.
        raise KsmrunError(error.what, "stop some programs, or add memory or swap") from error
