"""Record of changes to this host, written before each change, so that it can be undone.

A record is one JSON file, replaced atomically. It survives kill -9 at any moment: a change that is
recorded but was not made is recognised by the unchanged value.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from ksmrun.facts.text import parse_int, read_text
from ksmrun.host.lock import lock_file, unlock
from ksmrun.model.errors import KsmrunError
from ksmrun.model.frozen import dataclass
from ksmrun.support.advice import write_todo
from ksmrun.support.folders import make_folder
from ksmrun.support.safefile import replace_file
from ksmrun.support.state import read_state

SCHEMA = "ksmrun-record-1"
OTHER_FOLDER = "name another folder in KSMRUN_STATE_DIR"
# In Change.written: any present value is a consequence of our change, as the kernel resets
# pages_to_scan when advisor_mode changes (mm/ksm.c: set_advisor_defaults).
ANY_VALUE = "*"
# A rate that is set repeatedly: the present value is one of the last.
WRITTEN_MAX = 32
# What may be restored. Root writes it, so a record cannot name other files, or other values.
PATH = re.compile(
    r"sys/kernel/mm/ksm/[a-z][a-z0-9_]{0,63}"
    r"|sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_(none|shared|swap)"
    r"|proc/sys/vm/max_map_count"
    r"|ksmd/(cpus|nice|policy)"
)
CPUS = r"[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?){0,4095}"
VALUE = re.compile(rf"-?[0-9]{{1,20}}|[a-z][a-z0-9_-]{{0,63}}|{CPUS}")
WORDS = ("sys/kernel/mm/ksm/advisor_mode", "ksmd/cpus", "ksmd/policy")
SHAPE = {
    "boot_id": re.compile(r"[A-Za-z0-9-]{0,64}"),
    "changes": [
        {"path": PATH, "before": VALUE, "written": [(VALUE, re.compile(r"\*"))]},
    ],
}
TODO = "set the KSM values by hand as you want them, then delete that file"


@dataclass(frozen=True)
class Change:
    """Change of one file: path below the root, original value, every value written since."""

    path: str
    before: str
    written: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """All changes of one boot, the oldest first."""

    boot_id: str
    changes: tuple[Change, ...] = ()

    def with_written(self, path: str, before: str, value: str) -> Record:
        """Return the record after value is written; the first `before` of a file stays."""
        for index, change in enumerate(self.changes):
            if change.path == path:
                changed = Change(path, change.before, _added(change.written, value))
                rest = self.changes
                return Record(self.boot_id, (*rest[:index], changed, *rest[index + 1 :]))
        return Record(self.boot_id, (*self.changes, Change(path, before, (value,))))


def _added(known: tuple[str, ...], value: str) -> tuple[str, ...]:
    if ANY_VALUE in known:
        return known
    return (*(each for each in known if each != value), value)[-WRITTEN_MAX:]


def state_folder() -> Path:
    """Return the folder of records: KSMRUN_STATE_DIR, else /var/lib/ksmrun."""
    return Path(os.environ.get("KSMRUN_STATE_DIR") or "/var/lib/ksmrun")


def own_state_folder() -> Path | None:
    """Return root's folder of records, or another user's own folder, which needs a home."""
    if os.geteuid() == 0 or os.environ.get("KSMRUN_STATE_DIR"):
        return state_folder()
    for variable, below in (("XDG_STATE_HOME", ""), ("HOME", ".local/state")):
        base = os.environ.get(variable)
        if base and Path(base).is_absolute():
            is_there = variable == "XDG_STATE_HOME" or Path(base).is_dir()
            return Path(base) / below / "ksmrun" if is_there else None
    return None


def current_boot_id(root: Path) -> str:
    """Return the ID of this boot; empty if /proc does not show it."""
    return (read_text(root / "proc/sys/kernel/random/boot_id") or "").strip()


def load(file: Path) -> Record | None:
    """Return the record, None if there is none. Raises KsmrunError for a damaged one."""
    data = read_state(file, SCHEMA, SHAPE, TODO)
    if data is None:
        return None
    changes = tuple(Change(c["path"], c["before"], tuple(c["written"])) for c in data["changes"])
    for change in changes:
        if change.path not in WORDS and parse_int(change.before) is None:
            raise KsmrunError(
                f"{file} is damaged ({change.before!r} is not a value of /{change.path})", TODO
            )
    return Record(data["boot_id"], changes)


def save(file: Path, record: Record) -> None:
    """Replace the file, on disk before this returns. Raises KsmrunError."""
    text = json.dumps({"schema": SCHEMA, **asdict(record)}, indent=1) + "\n"
    try:
        make_folder(file.parent)
        replace_file(file, text.encode(), 0o644)
    except OSError as error:
        raise KsmrunError(
            f"cannot write {file}: {error.strerror}; nothing was changed on the host",
            write_todo(error, OTHER_FOLDER),
        ) from error


def prepare(file: Path, root: Path) -> None:
    """Make an empty record where there is none, to see that one can be kept. Raises KsmrunError."""
    with locked(file):
        if load(file) is None:
            save(file, Record(current_boot_id(root)))


def drop(file: Path) -> None:
    """Delete the record, once everything in it is undone."""
    file.unlink(missing_ok=True)


@contextmanager
def locked(file: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of a record; yields False if wait is off and another process has it."""
    lock = file.with_name(f"{file.name}.lock")
    try:
        descriptor = lock_file(lock, wait=wait)
    except BlockingIOError:
        yield False
        return
    except OSError as error:
        raise KsmrunError(
            f"cannot open {lock}: {error.strerror}", write_todo(error, OTHER_FOLDER)
        ) from error
    try:
        yield True
    finally:
        unlock(descriptor, lock)
