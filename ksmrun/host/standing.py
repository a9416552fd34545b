"""Alerts that stand, in a file that the monitor keeps for `ksmrun status`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from ksmrun.facts.ksm import ROOT
from ksmrun.facts.stat import read_stat
from ksmrun.host.attach_state import is_running
from ksmrun.host.record import current_boot_id
from ksmrun.model.status import Monitor
from ksmrun.model.watch import Condition
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


def write_alerts(folder: Path, alerts: Iterable[Condition]) -> None:
    """Replace the file. Raises OSError."""
    data = {
        "schema": SCHEMA,
        "boot_id": current_boot_id(ROOT),
        "pid": os.getpid(),
        "start_ticks": read_stat(Path("/proc/self")).start_ticks,
        "alerts": [{"kind": a.kind, "what": a.what, "todo": a.todo} for a in alerts],
    }
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / NAME, json.dumps(data).encode(), 0o644)


def drop_alerts(folder: Path) -> None:
    """Delete the file, if it is this process's. Raises OSError."""
    found = read_state(folder / NAME, SCHEMA, SHAPE, "")
    if found is not None and found["pid"] == os.getpid():
        (folder / NAME).unlink(missing_ok=True)


def read_alerts(folder: Path) -> Monitor | None:
    """Return the monitor's alerts; None if none runs. Raises KsmrunError for a damaged file."""
    file = folder / NAME
    data = read_state(file, SCHEMA, SHAPE, f"delete {file}, and restart the monitor")
    if data is None or data["boot_id"] != current_boot_id(ROOT):
        return None
    alerts = tuple((each["kind"], each["what"], each["todo"]) for each in data["alerts"])
    return Monitor(data["pid"], is_running(data["pid"], data["start_ticks"]), alerts)
