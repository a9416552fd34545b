"""Number of VMAs of processes."""

from __future__ import annotations

import os
from pathlib import Path

from ksmrun.facts.loader import is_loader, program_of
from ksmrun.facts.pids import all_pids
from ksmrun.facts.stat import command_words, living, memory_folder, read_link
from ksmrun.facts.text import kib_fields, read_text
from ksmrun.model.launch import MapPeak, TargetFacts
from ksmrun.support.foreign import raise_shortage, read_bytes, resolved

CHUNK_BYTES = 1 << 20


def count_maps(folder: Path) -> int:
    """Return the number of VMAs of a process: lines of its /proc maps file. Raises OSError.

    26 to 59 ms for 65,000; the kernel has no cheaper count.
    """
    return living(folder, _count_maps, lambda count: count == 0)


def _count_maps(folder: Path) -> int:
    count = 0
    with (folder / "maps").open("rb", buffering=0) as maps:
        while part := maps.read(CHUNK_BYTES):
            count += part.count(b"\n")
    return count


def most_maps_in_use() -> tuple[int, int] | None:
    """Return the highest VMA count of any readable process, and its PID."""
    counted = []
    for pid in all_pids():
        try:
            counted.append((count_maps(Path("/proc") / str(pid)), pid))
        except OSError as error:
            raise_shortage(error)
    return max(counted, default=None)


def program_key(target: TargetFacts) -> str | None:
    """Return the key of a program: its file, and its script if it is interpreted.

    If it is started through a loader: that, and its file.
    """
    if target.path is None:
        return None
    if target.loaded_by is not None:
        return "\0".join((resolved(target.loaded_by), resolved(target.path)))
    return "\0".join((resolved(target.path), *map(resolved, target.interpreters[:1])))


def running_key(folder: Path, executable: str) -> str:
    """Return the key of a running process: as program_key.

    The kernel puts a script behind its interpreter and the argument of the first line, which is one
    word (execve(2)).
    """
    command = command_words(folder)
    loaded = program_of([*map(os.fsencode, command)]) if is_loader(executable) else None
    words = command[1:3] if loaded is None else [os.fsdecode(loaded)]
    for word in words:
        script = memory_folder(folder) / "cwd" / word
        try:
            if word and (loaded is not None or read_bytes(script, 2) == b"#!"):
                where = read_link(folder, "cwd") / word
                return "\0".join((executable, resolved(where)))
        except OSError as error:
            raise_shortage(error)
    return executable


def running_peak(target: TargetFacts) -> MapPeak | None:
    """Return the highest count of all running copies that this user may read."""
    key = program_key(target)
    if key is None:
        return None
    executable, _, script = key.partition("\0")
    best: MapPeak | None = None
    for pid in all_pids():
        # This process runs Python too, and has the script among its arguments.
        if pid == os.getpid():
            continue
        folder = Path("/proc") / str(pid)
        try:
            if str(read_link(folder, "exe")) != executable or not _runs(folder, script):
                continue
            maps = count_maps(folder)
            # After an exec, with which start scripts end, the count belongs to another program.
            if str(read_link(folder, "exe")) != executable:
                continue
        except OSError as error:
            raise_shortage(error)
            continue
        if best is None or maps > best.maps:
            status = read_text(memory_folder(folder) / "status") or ""
            data = kib_fields(status, ("VmData",))["VmData"]
            best = MapPeak(f"PID {pid}, running now", maps, data)
    return best


def _runs(folder: Path, script: str) -> bool:
    """Return whether an interpreter's process runs this script; true if script is empty."""
    if not script:
        return True
    words = command_words(folder)[1:]
    return any(word.startswith("/") and resolved(word) == script for word in words)
