"""What was changed on this host, written down before it is changed, so that it can be undone.

A record is one JSON file, replaced atomically. It outlives kill -9 at any moment: a change that is
recorded but not made is found unchanged and left alone.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ksmrun.facts.text import read_text
from ksmrun.host.ours import replace_file
from ksmrun.model import KsmrunError

SCHEMA = "ksmrun-record-1"
# What reading JSON raises from a file that is absent, garbled, or has Infinity or lists in lists.
DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
# In Change.written: whatever stands there now was caused by us, as the kernel resets pages_to_scan
# when advisor_mode changes (mm/ksm.c: set_advisor_defaults).
ANY_VALUE = "*"
# A rate that is set again and again: what stands there now is one of the last.
WRITTEN_MAX = 32


@dataclass(frozen=True)
class Change:
    """One file: its path below the root, what it held, and every value written since."""

    path: str
    before: str
    written: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """All changes of one boot, the oldest first."""

    boot_id: str
    changes: tuple[Change, ...] = ()

    def with_written(self, path: str, before: str, value: str) -> Record:
        """The record after value is written: the first `before` of a file stays."""
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
    """Where records lie: KSMRUN_STATE_DIR, else /var/lib/ksmrun."""
    return Path(os.environ.get("KSMRUN_STATE_DIR") or "/var/lib/ksmrun")


def own_state_folder() -> Path | None:
    """Root's is that of the records; others have one of their own, if they have a home."""
    if os.geteuid() == 0 or os.environ.get("KSMRUN_STATE_DIR"):
        return state_folder()
    for variable, below in (("XDG_STATE_HOME", ""), ("HOME", ".local/state")):
        base = os.environ.get(variable)
        if base and Path(base).is_absolute():
            return Path(base) / below / "ksmrun"
    return None


def current_boot_id(root: Path) -> str:
    """Of this boot; empty where /proc does not tell."""
    return (read_text(root / "proc/sys/kernel/random/boot_id") or "").strip()


def load(file: Path) -> Record | None:
    """The record, None where there is none. Raises KsmrunError for a damaged one."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise KsmrunError(f"cannot read {file}: {error}", "look at that file as root") from error
    try:
        data = json.loads(text)
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema {data['schema']}")
        changes = tuple(
            Change(str(c["path"]), str(c["before"]), tuple(map(str, c["written"])))
            for c in data["changes"]
        )
        return Record(str(data["boot_id"]), changes)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise KsmrunError(
            f"{file} is damaged ({error})",
            "set the KSM values by hand as you want them, then delete that file",
        ) from error


def save(file: Path, record: Record) -> None:
    """Replaces the file, on disk before this returns. Raises KsmrunError."""
    text = json.dumps({"schema": SCHEMA, **asdict(record)}, indent=1) + "\n"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, text.encode(), 0o644)
    except OSError as error:
        raise KsmrunError(
            f"cannot write {file}: {error.strerror}; nothing was changed on the host",
            "make its folder writable, or name another in KSMRUN_STATE_DIR",
        ) from error


def drop(file: Path) -> None:
    """Deletes the record, once everything in it is undone."""
    file.unlink(missing_ok=True)


@contextmanager
def locked(file: Path, *, wait: bool = True) -> Iterator[bool]:
    """Holds the lock of a record; yields False where wait is off and another has it."""
    lock_file = file.with_name(f"{file.name}.lock")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KsmrunError(
            f"cannot open {lock_file}: {error.strerror}",
            "run this as root, or name another folder in KSMRUN_STATE_DIR",
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
