"""The highest map count seen of each program, kept over boots for the guard."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from ksmrun.host.lock import lock_folder
from ksmrun.host.record import DAMAGED, own_state_folder
from ksmrun.model import MapPeak

SCHEMA = "ksmrun-peaks-1"
PROGRAMS_MAX = 1000


def peaks_file() -> Path | None:
    """Beside the records; None for a user without a home."""
    folder = own_state_folder()
    return None if folder is None else folder / "peaks.json"


def remembered(file: Path, key: str) -> MapPeak | None:
    """What was seen before of this program; None for nothing, and for a file that is damaged."""
    peak = _load(file).get(key)
    return None if peak is None else MapPeak("seen before", peak[0], peak[1])


def remember(file: Path, key: str, peak: MapPeak) -> None:
    """Keeps the peak if it is the highest. Best effort: a launch does not hang on it."""
    with contextlib.suppress(OSError):
        remember_all(file, {key: peak})


def remember_all(file: Path, peaks: Mapping[str, MapPeak]) -> None:
    """The same for several; the oldest entries go where there are more than PROGRAMS_MAX. Nothing
    is kept while another process does so: a launch does not wait. Raises OSError.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = lock_folder(file.parent)
    if descriptor is None:
        return
    try:
        _add(file, peaks)
    finally:
        os.close(descriptor)


def _add(file: Path, peaks: Mapping[str, MapPeak]) -> None:
    before = _load(file)
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
    # One name, so that what a kill leaves is written over by the next one.
    temporary = file.with_name(f".{file.name}.new")
    try:
        temporary.write_text(json.dumps({"schema": SCHEMA, "peaks": kept}), encoding="utf-8")
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _load(file: Path) -> dict[str, tuple[int, int]]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if data["schema"] != SCHEMA:
            return {}
        return {str(key): (int(maps), int(size)) for key, (maps, size) in data["peaks"].items()}
    except DAMAGED:
        return {}
