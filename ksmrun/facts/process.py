"""/proc/PID: what one process gains and costs. Root reads all, others their own."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import psutil

from ksmrun.facts.pages import PAGE_BYTES
from ksmrun.facts.text import kib_fields, parse_fields, parse_int, read_text
from ksmrun.model.process import Sweeper
from ksmrun.support.foreign import FLAGS, raise_shortage

# About 60 mappings.
SMAPS_HEAD_BYTES = 1 << 16
# The name of the shim's thread and of its status file (native/preload/).
SWEEPER = "ksmrun-sweep"
STATUS_BYTES = 160
# The shim starts its thread first, which has a few descriptors.
TASKS_MAX, DESCRIPTORS_MAX = 1000, 100
STATUS = re.compile(
    r"work=(mark|join) state=(at-work|stopped-at-map-limit|stopped-too-many-unmergeable"
    r"|ended-madvise-fails) sweeps=(\d{1,18}) vmas=(\d{1,9}) vmas_max=(\d{1,9})"
    r" marked_bytes=(\d{1,18}) *\n"
)


@dataclass(frozen=True)
class KsmStat:
    """/proc/PID/ksm_stat; before 6.1 there is none, and later fields are None where absent."""

    rmap_items: int | None
    merging_pages: int | None
    zero_pages: int | None
    profit_bytes: int | None
    merge_any: bool | None
    mergeable: bool | None

    @property
    def enabled_by(self) -> str | None:
        """prctl, madvise, or (before 6.14, which has no flag to read) seen; None: not enabled."""
        if self.merge_any:
            return "prctl"
        if self.mergeable:
            return "madvise"
        if self.merge_any is None and ((self.rmap_items or 0) > 0 or (self.merging_pages or 0) > 0):
            return "seen"
        return None


@dataclass(frozen=True)
class Memory:
    """/proc/PID/smaps_rollup. Pss_Anon is None before 5.3.

    uss_bytes: of this process alone. huge_bytes: anonymous huge pages, which KSM splits to merge.
    """

    rss_bytes: int | None
    pss_bytes: int | None
    pss_anonymous_bytes: int | None
    uss_bytes: int | None = None
    swap_bytes: int | None = None
    huge_bytes: int | None = None


def all_pids() -> list[int]:
    """Empty where /proc is not there, which psutil does not reckon with."""
    try:
        return psutil.pids()
    except OSError as error:
        raise_shortage(error)
    except IndexError:
        pass
    return []


def read_ksm_stat(folder: Path) -> KsmStat:
    """Of the process whose /proc folder this is. Raises OSError: gone, or somebody else's."""
    fields = parse_fields((folder / "ksm_stat").read_text(encoding="ascii", errors="replace"))
    merging = parse_int(fields.get("ksm_merging_pages", ""))
    if merging is None:
        # A file of its own from 6.1 on; in ksm_stat from 6.4 on.
        merging = parse_int((folder / "ksm_merging_pages").read_text(encoding="ascii"))
    return KsmStat(
        rmap_items=parse_int(fields.get("ksm_rmap_items", "")),
        merging_pages=merging,
        zero_pages=parse_int(fields.get("ksm_zero_pages", "")),
        profit_bytes=parse_int(fields.get("ksm_process_profit", "")),
        merge_any=_yes_no(fields.get("ksm_merge_any")),
        mergeable=_yes_no(fields.get("ksm_mergeable")),
    )


def has_marked_memory(folder: Path) -> bool:
    """Whether one of the first mappings is marked for merging (proc(5): VmFlags, "mg").

    The prctl marks all that can be, so the first SMAPS_HEAD_BYTES tell. Raises OSError.
    """
    with (folder / "smaps").open("rb", buffering=0) as smaps:
        # The kernel hands out about a page a read.
        head = b""
        while len(head) < SMAPS_HEAD_BYTES and (part := smaps.read(SMAPS_HEAD_BYTES)):
            head += part
    flags = (line.split()[1:] for line in head.split(b"\n") if line.startswith(b"VmFlags:"))
    return any(b"mg" in words for words in flags)


def read_sweeper(folder: Path) -> Sweeper | None:
    """The status of the shim's thread, which lies in its own descriptor table. Raises OSError.

    Any process may call a thread so: what it says is believed only where it has the form.
    """
    for task in islice((folder / "task").iterdir(), TASKS_MAX):
        if (read_text(task / "comm", STATUS_BYTES) or "").strip() != SWEEPER:
            continue
        for file in islice((task / "fd").iterdir(), DESCRIPTORS_MAX):
            if str(file.readlink()).startswith(f"/memfd:{SWEEPER}"):
                return _parse_status(_read_status(file))
        return _parse_status("")
    return None


def _read_status(file: Path) -> str:
    """What a memfd says; "" of anything else, which may only be called like one.

    All memfds lie on one mount of the kernel's (mm/shmem.c: shm_mnt). Which mount it is, is told
    without asking a file system or a driver, and no other file is opened.
    """
    place = os.open(file, os.O_PATH | os.O_CLOEXEC)
    try:
        if (mount := _mount_of(place)) is None or mount != _mount_of_memfds():
            return ""
        descriptor = os.open(f"/proc/self/fd/{place}", FLAGS)
    finally:
        os.close(place)
    try:
        return os.read(descriptor, STATUS_BYTES).decode("ascii", "replace")
    finally:
        os.close(descriptor)


@cache
def _mount_of_memfds() -> str | None:
    descriptor = os.memfd_create("ksmrun", os.MFD_CLOEXEC)
    try:
        return _mount_of(descriptor)
    finally:
        os.close(descriptor)


def _mount_of(descriptor: int) -> str | None:
    """proc_pid_fdinfo(5): mnt_id."""
    text = read_text(Path(f"/proc/self/fdinfo/{descriptor}")) or ""
    return parse_fields(text).get("mnt_id")


def _parse_status(text: str) -> Sweeper:
    found = STATUS.match(text)
    if found is None:
        return Sweeper("unknown", "starting", None, None, None, None)
    work, state, *numbers = found.groups()
    sweeps, vmas, vmas_max, marked_bytes = map(int, numbers)
    return Sweeper(work, state, sweeps, vmas, vmas_max, marked_bytes)


def read_rss(folder: Path) -> int | None:
    """Resident bytes, which every user may read (proc_pid_statm(5)). Raises OSError: it ended."""
    fields = (folder / "statm").read_text(encoding="ascii").split()
    return int(fields[1]) * PAGE_BYTES if len(fields) > 1 else None


def read_anonymous(folder: Path) -> int | None:
    """Resident bytes that belong to no file, merged pages included. Raises OSError: it ended."""
    fields = (folder / "statm").read_text(encoding="ascii").split()
    return (int(fields[1]) - int(fields[2])) * PAGE_BYTES if len(fields) > 2 else None


def read_memory(folder: Path) -> Memory:
    """Walks the page tables: about 8.5 ms a GiB. Raises OSError: gone, or somebody else's."""
    text = (folder / "smaps_rollup").read_text(encoding="ascii", errors="replace")
    names = ("Rss", "Pss", "Pss_Anon", "Private_Clean", "Private_Dirty", "Swap", "AnonHugePages")
    rss, pss, anonymous, clean, dirty, swap, huge = kib_fields(text, names).values()
    uss = None if clean is None or dirty is None else clean + dirty
    return Memory(rss, pss, anonymous, uss, swap, huge)


def _yes_no(text: str | None) -> bool | None:
    return None if text is None else text == "yes"
