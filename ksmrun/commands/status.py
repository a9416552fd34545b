"""`ksmrun status`: one screen about this host, and what to do."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from ksmrun.commands.declare import declare
from ksmrun.commands.output import print_json, print_line
from ksmrun.commands.table import terminal_columns
from ksmrun.facts.host import read_host
from ksmrun.facts.ksm import ROOT
from ksmrun.facts.memory_groups import memory_groups
from ksmrun.facts.unit_files import FILES_MAX, unit_files, unit_folders
from ksmrun.facts.wraps import find_wraps
from ksmrun.host.attach_state import attached, attached_file, is_running, was_detached
from ksmrun.host.installed_launcher import installed
from ksmrun.host.key_memory import key_lost_at
from ksmrun.host.layout_groups import groups_of
from ksmrun.host.layout_keys import keys_folder
from ksmrun.host.record import state_folder
from ksmrun.host.standing import find_alerts
from ksmrun.host.undoable import setters, undoable
from ksmrun.model.errors import KsmrunError
from ksmrun.model.status import HostStatus, Row, State, Undoable, Unread
from ksmrun.model.wrap import DROP_IN, InstalledLauncher, Wrap
from ksmrun.observe.merging import KsmdWatch, Look, look_at_merging
from ksmrun.observe.shared_layout import started_alike
from ksmrun.options.status import STATUS, StatusOptions
from ksmrun.plan.status import judge, worst
from ksmrun.support.foreign import read_text
from ksmrun.wrap.dropin import fingerprint, written_fingerprint
from ksmrun.wrap.unitfile import values

SCHEMA = "ksmrun-status-1"
# In columns: the state and the name of a row.
INDENT = 16
UNIT_BYTES_MAX = 1 << 18


def register(app: typer.Typer) -> None:
    """Add the command."""
    declare(app, STATUS, status)


def status(options: StatusOptions) -> None:
    """Look at the host, and exit with 1 if something is not in order."""
    rows = judge(_look())
    state = worst(rows)
    if options.as_json:
        print_json(SCHEMA, state=state, rows=[asdict(row) for row in rows])
    else:
        show(rows)
    raise typer.Exit(0 if state is State.OK else 1)


def show(rows: Sequence[Row]) -> None:
    """Print the rows, and how many are not in order."""
    for row in rows:
        _print(row)
    number = sum(row.state is not State.OK for row in rows)
    print_line(
        "everything is in order" if not number else f"{number} of {len(rows)} need attention"
    )


def _print(row: Row) -> None:
    width = max(terminal_columns(), 2 * INDENT)
    head = f"{row.state:<5}{row.name:<{INDENT - 5}}"
    # Lines of an unbroken length, so that a command can be copied.
    for line in textwrap.wrap(
        head + row.found, width, subsequent_indent=" " * INDENT, break_on_hyphens=False
    ):
        print_line(line)
    if row.state is not State.OK:
        print_line(f"     to do: {row.todo}")


def _look() -> HostStatus:
    ksmd = KsmdWatch()
    host = read_host(ROOT)
    wraps = find_wraps()
    units = {wrap.name for wrap in wraps if _is_service(wrap)}
    found = look_at_merging(units)
    folder = state_folder()
    records: tuple[Undoable, ...] | Unread
    try:
        records = undoable(folder, ROOT)
    except KsmrunError as error:
        # Root's file is for root to correct.
        records = Unread(error.what, error.todo if os.geteuid() == 0 else "sudo ksmrun status")
    return HostStatus(
        host=host,
        setters=setters(folder, ROOT, () if isinstance(records, Unread) else records),
        merging=found.merging,
        groups=memory_groups(found.merged_bytes),
        lost=tuple(_lost(found)),
        keyless=_keyless([each.pid for each in found.merging]),
        monitor=find_alerts(),
        launchers=tuple(wrap.name for wrap in wraps if wrap.lacks_launcher),
        launcher=_launcher(),
        stale=tuple(wrap for wrap in wraps if wrap.ours and is_stale(wrap)),
        wrapped=len(wraps),
        records=records,
        unreadable=found.unreadable,
        hidepid=bool(host.hidepid) and os.geteuid() != 0,
        ksmd=ksmd.result(),
    )


def _launcher() -> InstalledLauncher | Unread | None:
    try:
        return installed()
    except KsmrunError as error:
        return Unread(error.what, error.todo)


def _is_service(wrap: Wrap) -> bool:
    return wrap.ours and wrap.kind == "unit"


def is_stale(wrap: Wrap) -> bool:
    """Return whether the unit's ExecStart= differs from what its drop-in was made from."""
    written = written_fingerprint(read_text(wrap.path) or "")
    if written is None:
        return False
    found_files = unit_files(wrap.name, unit_folders(wrap.path))
    files = [path for path in found_files if path.name != DROP_IN]
    texts = [read_text(path, UNIT_BYTES_MAX) for path in files[:FILES_MAX]]
    # Without a unit file, or with one that only root reads, nothing is known.
    if not texts or None in texts or len(files) > FILES_MAX:
        return False
    found = values([text for text in texts if text is not None], "Service", "ExecStart")
    return written != fingerprint(found)


def _lost(look: Look) -> list[tuple[int, str]]:
    """Return those of wrapped units, and those that were attached, that do not merge."""
    merging = {each.pid for each in look.merging}
    file = attached_file()
    known = {} if file is None else _attached(file)
    lost = [
        (pid, "attached")
        for pid, ticks in known.items()
        if pid not in merging and is_running(pid, ticks) and not was_detached(pid, ticks)
    ]
    return [*look.idle, *lost]


def _keyless(pids: Sequence[int]) -> tuple[int, ...]:
    """Return those with a shared layout, if the key that later copies would need was deleted."""
    try:
        folder = keys_folder()
    except KsmrunError:
        return ()
    if key_lost_at(folder) is None:
        return ()
    alike = started_alike(pids)
    return tuple(sorted(alike - groups_of(alike).keys()))


def _attached(file: Path) -> dict[int, int]:
    try:
        return attached(file)
    except KsmrunError:
        return {}
