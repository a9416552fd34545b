"""Record what was done to running processes, for the monitor.

attached.json: processes attached to on kernels without the flag (before 6.4); what they map later
is not marked unless `ksmrun monitor --follow` does it. detached.json: processes whose flag was
cleared on purpose, and is not lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ksmrun.facts.ksm import ROOT
from ksmrun.facts.stat import has_living_thread, read_stat
from ksmrun.facts.text import parse_int
from ksmrun.host.record import OTHER_FOLDER, current_boot_id, locked, own_state_folder
from ksmrun.model.errors import KsmrunError
from ksmrun.support.advice import write_todo
from ksmrun.support.foreign import raise_shortage
from ksmrun.support.safefile import replace_file
from ksmrun.support.state import read_state

SCHEMA = "ksmrun-attached-1"
SHAPE = {"boot_id": str, "processes": {str: int}}
UNKNOWN = "`ksmrun monitor --follow` does not know these processes"


def attached_file() -> Path | None:
    """Return the file, beside the records; None for a user without a home."""
    folder = own_state_folder()
    return None if folder is None else folder / "attached.json"


def detached_file() -> Path | None:
    """Return the file of detached processes, beside the other."""
    folder = own_state_folder()
    return None if folder is None else folder / "detached.json"


def was_detached(pid: int, start_ticks: int | None) -> bool:
    """Return whether ksmrun of this user has cleared the flag of this process."""
    file = detached_file()
    if file is None or start_ticks is None:
        return False
    try:
        return attached(file).get(pid) == start_ticks
    except KsmrunError:
        return False


def note_detached(processes: Mapping[int, int], *, detach: bool) -> None:
    """Record these, or remove them; best effort, as only the monitor's alerts need it."""
    file = detached_file()
    if file is None or not processes or not (detach or file.exists()):
        return
    with suppress(KsmrunError):
        remember(file, processes, attach=detach)


def attached(file: Path) -> dict[int, int]:
    """Return PIDs and start times in ticks, of this boot, possibly including ended processes.

    Raises KsmrunError if the file is damaged, or not ours.
    """
    data = read_state(file, SCHEMA, SHAPE, f"delete {file}, and attach to the programs again")
    if data is None or data["boot_id"] != current_boot_id(ROOT):
        return {}
    numbers = {parse_int(pid): ticks for pid, ticks in data["processes"].items()}
    return {pid: ticks for pid, ticks in numbers.items() if pid is not None and pid > 0}


def remember(file: Path, processes: Mapping[int, int], *, attach: bool) -> None:
    """Add processes, or remove them. Raises KsmrunError if the file cannot be written."""
    with locked(file):
        try:
            found = attached(file)
        except KsmrunError as error:
            raise KsmrunError(f"{error.what}; {UNKNOWN}", error.todo) from error
        known = {pid: ticks for pid, ticks in found.items() if is_running(pid, ticks)}
        if attach:
            known |= processes
        else:
            known = {pid: ticks for pid, ticks in known.items() if processes.get(pid) != ticks}
        data = {"schema": SCHEMA, "boot_id": current_boot_id(ROOT), "processes": known}
        try:
            replace_file(file, json.dumps(data).encode(), 0o644)
        except OSError as error:
            raise KsmrunError(
                f"cannot write {file}: {error.strerror}; {UNKNOWN}",
                write_todo(error, OTHER_FOLDER),
            ) from error


def is_running(pid: int, start_ticks: int) -> bool:
    """Return whether the PID still denotes the same process."""
    folder = Path(f"/proc/{pid}")
    try:
        return read_stat(folder).start_ticks == start_ticks and has_living_thread(folder)
    except OSError as error:
        raise_shortage(error)
        return False
