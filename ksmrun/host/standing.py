"""Alerts that stand, in a file that the monitor keeps for `ksmrun status`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from ksmrun.facts.ksm import ROOT
from ksmrun.facts.stat import read_stat
from ksmrun.host.attach_state import is_running
from ksmrun.host.record import current_boot_id, own_state_folder, state_folder
from ksmrun.model.errors import KsmrunError
from ksmrun.model.status import Monitor, Unread
from ksmrun.support.folders import make_folder
from ksmrun.support.safefile import replace_file
from ksmrun.support.state import read_state

NAME = "alerts.json"
SCHEMA = "ksmrun-alerts-1"
SHAPE = {
    "boot_id": str,
    "pid": int,
    "start_ticks": int,
    "alerts": [{"kind": str, "what": str, "todo": str}],
}


def write_alerts(folder: Path, alerts: Iterable[tuple[str, str, str]]) -> None:
    """Replace the file. alerts: kind, what is wrong, and what to do. Raises OSError."""
    data = {
        "schema": SCHEMA,
        "boot_id": current_boot_id(ROOT),
        "pid": os.getpid(),
        "start_ticks": read_stat(Path("/proc/self")).start_ticks,
        "alerts": [{"kind": kind, "what": what, "todo": todo} for kind, what, todo in alerts],
    }
    make_folder(folder)
    replace_file(folder / NAME, json.dumps(data).encode(), 0o644)


def drop_alerts(folder: Path) -> None:
    """Delete the file, if it is this process's. Raises OSError."""
    found = read_state(folder / NAME, SCHEMA, SHAPE, "")
    if found is not None and found["pid"] == os.getpid():
        (folder / NAME).unlink(missing_ok=True)


def find_alerts() -> Monitor | Unread | None:
    """Return the alerts of the host's monitor, or else of this user's own."""
    own, known = own_state_folder(), []
    for folder in dict.fromkeys((state_folder(), own)):
        if folder is None:
            continue
        try:
            found = read_alerts(folder)
        except KsmrunError as error:
            # Root's file is for root to correct.
            return Unread(error.what, error.todo if folder == own else "sudo ksmrun status")
        if found is not None:
            known.append(found)
    return next((each for each in known if each.runs), known[0] if known else None)


def read_alerts(folder: Path) -> Monitor | None:
    """Return the monitor's alerts; None if none runs. Raises KsmrunError for a damaged file."""
    file = folder / NAME
    data = read_state(file, SCHEMA, SHAPE, f"delete {file}, and restart the monitor")
    if data is None or data["boot_id"] != current_boot_id(ROOT):
        return None
    alerts = tuple((each["kind"], each["what"], each["todo"]) for each in data["alerts"])
    return Monitor(data["pid"], is_running(data["pid"], data["start_ticks"]), alerts)
