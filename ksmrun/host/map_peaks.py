"""Highest VMA count seen of each program, kept across boots for the guard."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from ksmrun.host.lock import held
from ksmrun.host.record import own_state_folder
from ksmrun.model.errors import KsmrunError
from ksmrun.model.launch import MapPeak
from ksmrun.support.safefile import replace_file
from ksmrun.support.state import read_state

SCHEMA = "ksmrun-peaks-1"
PROGRAMS_MAX = 1000
SHAPE = {"peaks": {str: [int, int]}}


def peaks_file() -> Path | None:
    """Return the file, beside the records; None for a user without a home."""
    folder = own_state_folder()
    return None if folder is None else folder / "peaks.json"


def remembered(file: Path, key: str) -> MapPeak | None:
    """Return what is known of this program; None for nothing.

    Raises KsmrunError if the file is damaged; the next remember() then starts a new one.
    """
    peak = _load(file).get(key)
    return None if peak is None else MapPeak("seen before", peak[0], peak[1])


def remember(file: Path, key: str, peak: MapPeak) -> None:
    """Save the peak if it is the highest. Best effort: a launch does not depend on it."""
    with contextlib.suppress(OSError, KsmrunError):
        remember_all(file, {key: peak})


def remember_all(file: Path, peaks: Mapping[str, MapPeak]) -> None:
    """Save several peaks; the oldest entries are dropped beyond PROGRAMS_MAX.

    Saves nothing while another process is saving: a launch does not wait. Raises OSError, and
    KsmrunError if the old file was damaged and has been replaced.
    """
    try:
        with held(file.with_name(f"{file.name}.lock")) as is_held:
            if is_held:
                _add(file, peaks)
    except OSError as error:
        error.filename = str(file)
        raise


def _add(file: Path, peaks: Mapping[str, MapPeak]) -> None:
    wrong: KsmrunError | None = None
    try:
        before = _load(file)
    except KsmrunError as error:
        before, wrong = {}, error
    known = dict(before)
    for key, peak in peaks.items():
        maps, size = before.get(key, (0, 0))
        highest = (max(maps, peak.maps), max(size, peak.data_bytes or 0))
        if highest != (maps, size):
            known.pop(key, None)
            known[key] = highest
    if known == before:
        return
    kept = dict(list(known.items())[-PROGRAMS_MAX:])
    replace_file(file, json.dumps({"schema": SCHEMA, "peaks": kept}).encode(), 0o644)
    if wrong is not None:
        raise wrong


def _load(file: Path) -> dict[str, tuple[int, int]]:
    data = read_state(file, SCHEMA, SHAPE, "nothing: a new one is written") or {"peaks": {}}
    return {key: (maps, size) for key, (maps, size) in data["peaks"].items()}
