"""Who sets KSM on this host, and which changes can be put back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ksmrun.host import boot, boot_unit
from ksmrun.host.auto import tuning_pid
from ksmrun.host.other_tuners import advisor, boot_files, running_tuners
from ksmrun.host.record import Record, load
from ksmrun.host.recorded import present, short_name
from ksmrun.host.temporary_tunables import PREFIX, is_abandoned
from ksmrun.model.status import Undoable


def undoable(folder: Path, root: Path) -> tuple[Undoable, ...]:
    """Return each record with its tunables that differ from before. Raises KsmrunError."""
    found = []
    for file in (folder / "host.json", *sorted(folder.glob(f"{PREFIX}*.json"))):
        names = _changed(load(file), root)
        if names:
            left = is_abandoned(file) if file.name.startswith(PREFIX) else False
            found.append(Undoable(names, left))
    return tuple(found)


def _changed(record: Record | None, root: Path) -> tuple[str, ...]:
    changes = () if record is None else record.changes
    return tuple(
        short_name(each.path) for each in changes if present(root, each.path) != each.before
    )


def setters(folder: Path, root: Path, records: tuple[Undoable, ...]) -> tuple[str, ...]:
    """Return who sets KSM. Files of others are searched only if nobody else is known."""
    found = tuple(_known(folder, root, records))
    return found or tuple(each.what for each in boot_files(root))


def _known(folder: Path, root: Path, records: tuple[Undoable, ...]) -> Iterator[str]:
    pid = tuning_pid(folder)
    if pid is not None:
        yield f"`ksmrun monitor --auto` (PID {pid}) sets its rate"
    yield from (each.what for each in (*running_tuners(), *advisor(root)))
    if boot_unit.is_installed(root):
        yield f"{boot_unit.NAME} sets it at boot"
    elif boot.is_enabled(root):
        yield f"/{boot.FILE} sets it at boot"
    elif pid is None and any("run" in each.names for each in records):
        yield "set by `ksmrun host`"
