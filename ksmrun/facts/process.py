"""Merging gains and costs of one process, from /proc/PID. Root reads all, others their own."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

from ksmrun.facts.pages import PAGE_BYTES
from ksmrun.facts.stat import living, memory_folder
from ksmrun.facts.text import kernel_text, kib_fields, parse_fields, parse_int, read_text
from ksmrun.model.frozen import dataclass
from ksmrun.model.process import Sweeper
from ksmrun.support.foreign import FLAGS
from ksmrun.support.syscall import syscall

# About 60 mappings.
SMAPS_HEAD_BYTES = 1 << 16
# Name of the shim's thread and of its status file (native/shim/).
SWEEPER = "ksmrun-sweep"
MEMFD = "ksmrun"
# include/uapi/linux/memfd.h
MFD_CLOEXEC = 1
STATUS_BYTES = 160
# The shim starts its thread early, when the process has few descriptors.
TASKS_MAX, DESCRIPTORS_MAX = 1000, 100
STATUS = re.compile(
    r"work=(mark|join) state=(at-work|stopped-at-map-limit|stopped-too-many-unmergeable"
    r"|ended-madvise-fails) sweeps=(\d{1,18}) vmas=(\d{1,9}) vmas_max=(\d{1,9})"
    r" marked_bytes=(\d{1,18}) *\n"
)


@dataclass(frozen=True)
class KsmStat:
    """/proc/PID/ksm_stat; it exists since 6.1, and later fields are None if absent."""

    rmap_items: int | None
    merging_pages: int | None
    zero_pages: int | None
    profit_bytes: int | None
    merge_any: bool | None
    mergeable: bool | None

    @property
    def enabled_by(self) -> str | None:
        """Mechanism: prctl, madvise, or seen (before 6.14, which shows no flag); None: none."""
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

    uss_bytes: private to this process. huge_bytes: anonymous huge pages, which KSM splits to merge.
    """

    rss_bytes: int | None
    pss_bytes: int | None
    pss_anonymous_bytes: int | None
    uss_bytes: int | None = None
    swap_bytes: int | None = None
    huge_bytes: int | None = None


def read_ksm_stat(folder: Path) -> KsmStat:
    """Return the KSM counters of a process. Raises OSError if it is gone or another user's."""
    return living(folder, _read_ksm_stat, lambda found: found.rmap_items is None)


def _read_ksm_stat(folder: Path) -> KsmStat:
    found = parse_ksm_stat(kernel_text(f"{folder}/ksm_stat"))
    if found.merging_pages is not None:
        return found
    # ksm_merging_pages is a file of its own since 6.1, and in ksm_stat since 6.4.
    merging = parse_int(kernel_text(folder / "ksm_merging_pages"))
    return replace(found, merging_pages=merging)


def parse_ksm_stat(text: str) -> KsmStat:
    """Return the counters in the content of ksm_stat."""
    fields = parse_fields(text)
    return KsmStat(
        rmap_items=parse_int(fields.get("ksm_rmap_items", "")),
        merging_pages=parse_int(fields.get("ksm_merging_pages", "")),
        zero_pages=parse_int(fields.get("ksm_zero_pages", "")),
        profit_bytes=parse_int(fields.get("ksm_process_profit", "")),
        merge_any=_yes_no(fields.get("ksm_merge_any")),
        mergeable=_yes_no(fields.get("ksm_mergeable")),
    )


def has_marked_memory(folder: Path) -> bool:
    """Return whether one of the first mappings is marked for merging (proc(5): VmFlags, "mg").

    The prctl marks all eligible ones, so the first SMAPS_HEAD_BYTES suffice. Raises OSError.
    """
    head = living(folder, _smaps_head, lambda text: not text)
    return any(map(_is_marked, head.split(b"\n")))


def has_any_marked_memory(folder: Path) -> bool:
    """Return whether any mapping at all is marked: madvise(2) may mark the last. Raises OSError."""
    with (memory_folder(folder) / "smaps").open("rb") as smaps:
        return any(map(_is_marked, smaps))


def _is_marked(line: bytes) -> bool:
    return line.startswith(b"VmFlags:") and b"mg" in line.split()[1:]


def _smaps_head(folder: Path) -> bytes:
    with (folder / "smaps").open("rb", buffering=0) as smaps:
        # The kernel returns about a page per read.
        head = b""
        while len(head) < SMAPS_HEAD_BYTES and (part := smaps.read(SMAPS_HEAD_BYTES)):
            head += part
    return head


def read_sweeper(folder: Path) -> Sweeper | None:
    """Return the status of the shim's thread, from its own descriptor table. Raises OSError.

    Any process may use that thread name: the content is accepted only if it has the right form.
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
    """Return the content of a memfd; "" for any other file, which may only have its name.

    All memfds are on one mount of the kernel's (mm/shmem.c: shm_mnt). The mount is determined
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
    descriptor = _create_memfd()
    if descriptor is None:
        return None
    try:
        return _mount_of(descriptor)
    finally:
        os.close(descriptor)


def _create_memfd() -> int | None:
    # Pythons that were built with a glibc before 2.27 do not have it.
    if hasattr(os, "memfd_create"):
        return os.memfd_create(MEMFD)
    return syscall("memfd_create", MEMFD.encode(), MFD_CLOEXEC)


def _mount_of(descriptor: int) -> str | None:
    """Return the mount ID of a descriptor (proc_pid_fdinfo(5): mnt_id)."""
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
    """Return the resident bytes, which every user may read (proc_pid_statm(5)). Raises OSError."""
    fields = read_statm(folder)
    return fields[1] * PAGE_BYTES if len(fields) > 1 else None


def read_anonymous(folder: Path) -> int | None:
    """Return the resident bytes of no file, merged pages included. Raises OSError if it ended."""
    fields = read_statm(folder)
    return (fields[1] - fields[2]) * PAGE_BYTES if len(fields) > 2 else None


def read_statm(folder: Path) -> list[int]:
    """Return the fields of proc_pid_statm(5), in pages. Raises OSError if it ended."""
    return living(folder, _read_statm, lambda fields: not any(fields))


def _read_statm(folder: Path) -> list[int]:
    return [int(word) for word in kernel_text(f"{folder}/statm").split()]


def read_memory(folder: Path) -> Memory:
    """Return the memory of a process. Raises OSError if it is gone or another user's.

    Walks the page tables: about 8.5 ms per GiB.
    """
    text = living(folder, _smaps_rollup, lambda text: not text)
    names = ("Rss", "Pss", "Pss_Anon", "Private_Clean", "Private_Dirty", "Swap", "AnonHugePages")
    rss, pss, anonymous, clean, dirty, swap, huge = kib_fields(text, names).values()
    uss = None if clean is None or dirty is None else clean + dirty
    return Memory(rss, pss, anonymous, uss, swap, huge)


def _smaps_rollup(folder: Path) -> str:
    return kernel_text(f"{folder}/smaps_rollup")


def _yes_no(text: str | None) -> bool | None:
    return None if text is None else text == "yes"
