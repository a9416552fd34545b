"""Read a watched process again: the few files that show whether anything has changed.

These reads are most of what the monitor costs, so they go through the descriptor of the process's
/proc folder, and what the kernel printed is compared before it is parsed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ksmrun.facts.pages import PAGE_BYTES
from ksmrun.support.foreign import FLAGS

BYTES_MAX = 4096
ENDED = (b"Z", b"X")
# An exec starts with no records, and seldom arrives at as many. A new name alone waits for this.
STAT_SECONDS = 60.0
NO_RECORDS = b"ksm_rmap_items 0\n"
# Of the kernel's answer for a process that does not merge (fs/proc/base.c, since 6.14).
NOT_MERGING = (b"ksm_merge_any: no\n", b"ksm_mergeable: no\n")


@dataclass(frozen=True)
class Raw:
    """What the kernel printed. stat_at: when stat was read.

    program: name, start time and image, as in facts/stat.py: Stat. virtual_bytes: size of the
    address space, which changes with most changes of its VMAs.
    """

    program: tuple[bytes, ...]
    ksm_stat: bytes
    virtual_bytes: int = field(compare=False)
    stat_at: float = field(compare=False)


def read_raw(folder: int, before: Raw | None, now: float) -> Raw | None:
    """Return what the /proc folder with this descriptor shows. Raises OSError if it has ended.

    None: the main thread has ended, or ksm_stat lacks a counter (before 6.4), so that more files
    need to be read. before: as last read; if its records are still as many, stat is left out.
    """
    ksm_stat = _read("ksm_stat", folder)
    is_same = before is not None and before.ksm_stat == ksm_stat and NO_RECORDS not in ksm_stat
    if before is not None and is_same and now < before.stat_at + STAT_SECONDS:
        return before
    stat = _read("stat", folder)
    # The name is in parentheses and may contain anything, including parentheses.
    end = stat.rfind(b")")
    fields = stat[end + 2 :].split()
    if end < 0 or fields[0] in ENDED:
        return None
    if b"ksm_merging_pages" not in ksm_stat:
        return None
    program = (stat[:end], fields[19], *fields[23:26], *fields[42:49])
    return Raw(program, ksm_stat, int(fields[20]), now)


def read_anonymous_bytes(folder: int) -> int | None:
    """Return the resident memory of no file; None if the main thread has ended. Raises OSError."""
    fields = _read("statm", folder).split()
    resident_and_shared = [int(word) for word in fields[1:3]]
    if not any(resident_and_shared):
        return None
    resident, shared = resident_and_shared
    return (resident - shared) * PAGE_BYTES


def merges_not(pid: int) -> bool:
    """Return whether the kernel says that this process does not merge.

    False where it does not tell (before 6.14), and for kernel threads. Raises OSError.
    """
    ksm_stat = _read(f"/proc/{pid}/ksm_stat")
    return all(line in ksm_stat for line in NOT_MERGING)


def cannot_merge(pid: int) -> bool:
    """Return whether a process does not merge, and has no thread of the shim's that may mark soon.

    False where that takes more to find out. Raises OSError if it ended.
    """
    try:
        if not merges_not(pid):
            return False
    except PermissionError:
        return False
    stat = _read(f"/proc/{pid}/stat")
    return stat[stat.rfind(b")") + 2 :].split()[17:18] == [b"1"]


def _read(name: str, folder: int | None = None) -> bytes:
    descriptor = os.open(name, FLAGS, dir_fd=folder)
    try:
        # The kernel prints files of one record at once, and none of these is longer.
        return os.read(descriptor, BYTES_MAX)
    finally:
        os.close(descriptor)
