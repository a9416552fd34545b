"""Make running processes set or clear their own merge flag, through native/attach/."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ksmrun.facts.identity import read_identity
from ksmrun.facts.launcher import LAUNCHER
from ksmrun.facts.maps import count_maps
from ksmrun.facts.process import read_ksm_stat
from ksmrun.facts.stat import read_stat, thread_with_memory
from ksmrun.facts.text import parse_fields, parse_int, read_text
from ksmrun.host.attach_state import note_detached
from ksmrun.model.attach import Attached, Candidate, Deed
from ksmrun.model.errors import KsmrunError
from ksmrun.plan.attach import outcome, who
from ksmrun.support.advice import helper_todo
from ksmrun.support.foreign import SHORTAGES, raise_shortage

HELPER = LAUNCHER.with_name("ksmrun-attach")
# Processes per helper; more would make its command line too long.
PIDS_MAX = 1000


@dataclass(frozen=True)
class _Line:
    outcome: str
    error: int
    stopped_ns: int


def look(pid: int) -> Candidate:
    """Return a process. Raises KsmrunError if there is none, or it may not be examined.

    If its main thread has ended, another thread stands for the process, by its own ID.
    """
    pid = thread_with_memory(pid)
    folder = Path(f"/proc/{pid}")
    try:
        stat = read_stat(folder)
        status = parse_fields(read_text(folder / "status") or "")
        ksm_stat = None if stat.is_kernel_thread or stat.state == "Z" else read_ksm_stat(folder)
        return Candidate(
            identity=read_identity(folder, pid),
            state=stat.state,
            is_kernel_thread=stat.is_kernel_thread,
            tracer=parse_int(status.get("TracerPid", "")) or 0,
            merges=None if ksm_stat is None else ksm_stat.merge_any,
            merged_pages=0 if ksm_stat is None else ksm_stat.merging_pages or 0,
            maps=None if ksm_stat is None else count_maps(folder),
            marks=None if ksm_stat is None else ksm_stat.mergeable,
        )
    except PermissionError as error:
        what, todo = f"PID {pid} belongs to another user", "run this as root, or as that user"
        if os.geteuid() == 0:
            what = f"PID {pid} cannot be read here, not even by root"
            todo = "run this on the host, outside of the container, with CAP_SYS_PTRACE"
        raise KsmrunError(what, todo) from error
    except OSError as error:
        raise_shortage(error)
        raise KsmrunError(
            f"there is no process {pid}",
            "list processes with `ps -e`, or those that merge with `sudo ksmrun ps`",
        ) from error


def carry_out(candidates: Sequence[Candidate], deed: Deed) -> list[Attached]:
    """Apply a change to each process, and check the result. Raises KsmrunError."""
    found: dict[int, _Line] = {}
    if not deed.merges:
        # Before it is done, as the monitor may look at any moment.
        note_detached(_ticks(candidates), detach=True)
    for start in range(0, len(candidates), PIDS_MAX):
        found |= _run(deed, [who(each) for each in candidates[start : start + PIDS_MAX]])
    results = [_judged(each, found.get(each.identity.pid), deed) for each in candidates]
    still = [each.candidate for each in results if each.done == deed.merges]
    note_detached(_ticks(still), detach=False)
    return results


def _ticks(candidates: Sequence[Candidate]) -> dict[int, int]:
    them = [each.identity for each in candidates]
    return {who.pid: who.start_ticks for who in them if who.start_ticks is not None}


def _run(deed: Deed, processes: Sequence[str]) -> dict[int, _Line]:
    try:
        # In a session of its own: a Ctrl-C for us must not arrive between two of its steps.
        done = subprocess.run(
            [HELPER, deed, *processes],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )
    except OSError as error:
        raise KsmrunError(
            f"cannot start {HELPER}: {error.strerror}", helper_todo(error.errno or 0, HELPER)
        ) from error
    if done.returncode != 0:
        raise KsmrunError(
            f"{HELPER} failed with exit code {done.returncode}: {done.stderr.strip()}",
            f"run it by hand to see why: {HELPER} {deed} {' '.join(processes[:3])}",
        )
    lines = {}
    for line in done.stdout.splitlines():
        pid, name, error_number, stopped = line.split()
        lines[int(pid)] = _Line(name, int(error_number), int(stopped))
    return lines


def _judged(candidate: Candidate, line: _Line | None, deed: Deed) -> Attached:
    name = "gone" if line is None else line.outcome
    stopped_ns = None if line is None or not line.stopped_ns else line.stopped_ns
    if line is not None and name == "done":
        folder = Path(f"/proc/{candidate.identity.pid}")
        try:
            seen = read_ksm_stat(folder).merge_any
            is_same = read_stat(folder).start_ticks == candidate.identity.start_ticks
        except OSError as error:
            # Without descriptors it cannot be looked at: then the call's own answer counts.
            seen, is_same = None, error.errno in SHORTAGES
        if not is_same:
            return Attached(candidate, False, *outcome("gone", 0))
        # Not visible before 6.14; the call's result is used.
        if seen is None or seen == deed.merges or deed in (Deed.MARK, Deed.UNMARK):
            return Attached(candidate, True, stopped_ns=stopped_ns)
        name = "lost"
    why, todo = outcome(name, 0 if line is None else line.error)
    if name == "not-permitted":
        why += _tracing_rule()
    return Attached(candidate, False, why, todo, stopped_ns)


def _tracing_rule() -> str:
    """Return the rule that may forbid tracing (ptrace(2), Yama)."""
    scope = (read_text(Path("/proc/sys/kernel/yama/ptrace_scope")) or "").strip()
    if os.geteuid() != 0:
        return f" (kernel.yama.ptrace_scope={scope})" if scope not in ("", "0") else ""
    return ""
