"""Remember which layout key a folder had since boot: a deleted one is replaced by another.

The memory lies outside the folder: in the root of the file system that holds it, if that is one of
/run, and else among the records.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from math import ceil
from pathlib import Path

from ksmrun.facts.ksm import ROOT
from ksmrun.host.record import current_boot_id, locked, own_state_folder
from ksmrun.model.errors import KsmrunError
from ksmrun.support.foreign import drain, open_regular
from ksmrun.support.safefile import replace_file
from ksmrun.support.state import read_state

SCHEMA = "ksmrun-layout-keys-1"
SHAPE = {"boot_id": str, "keys": {str: str}, "lost_at": {str: int}}
FOLDERS_MAX = 64
LAUNCH_TRIES, ROTATION_TRIES, PAUSE_SECONDS = 20, 400, 0.005
MASTER_KEY = "master.key"
KEY_BYTES = 32
RUN = Path("/run")


def read_master(folder: Path) -> bytes:
    """Return the content of the master key's file, whose size is to be checked. Raises OSError."""
    return drain(open_regular(folder / MASTER_KEY, follow=False), KEY_BYTES + 1)


def seen_key(folder: Path) -> bool:
    """Remember the key; True if the folder had another one since boot, and nobody rotated it.

    Best effort: without memory nothing is known.
    """
    with suppress(OSError, KsmrunError):
        file = memory_file(folder)
        if file is None or _read(file)[0].get(str(folder)) == _mark(folder):
            return False
        # Not for long: whoever holds it may be stopped, and a launch goes on.
        with _locked_soon(file, LAUNCH_TRIES) as is_held:
            return is_held and _remember(file, folder, is_meant=False)
    return False


@contextmanager
def rotating(folder: Path) -> Iterator[None]:
    """Remember the key that replaces another within the block.

    Launches meanwhile wait with their judgement, so that they do not take it for a lost one.
    """
    with ExitStack() as stack:
        file = None
        with suppress(OSError, KsmrunError):
            file = memory_file(folder)
            if file is not None and not stack.enter_context(_locked_soon(file, ROTATION_TRIES)):
                file = None
        yield
        if file is not None:
            with suppress(OSError, KsmrunError):
                _remember(file, folder, is_meant=True)


@contextmanager
def _locked_soon(file: Path, tries: int) -> Iterator[bool]:
    """Yield whether this process has locked it."""
    for _ in range(tries):
        with locked(file, wait=False) as is_held:
            if is_held:
                yield True
                return
        time.sleep(PAUSE_SECONDS)
    yield False


def _mark(folder: Path) -> str:
    return hmac.digest(read_master(folder), b"which key", hashlib.sha256).hex()[:16]


def _remember(file: Path, folder: Path, *, is_meant: bool) -> bool:
    """Write the folder's key into the locked file; return whether it had another one."""
    name, mark = str(folder), _mark(folder)
    keys, lost_at = _read(file)
    before = keys.pop(name, None)
    keys[name] = mark
    is_lost = before not in (None, mark) and not is_meant
    if is_lost:
        lost_at[name] = ceil(time.time())
    elif before != mark:
        lost_at.pop(name, None)
    kept = dict(list(keys.items())[-FOLDERS_MAX:])
    data = {
        "schema": SCHEMA,
        "boot_id": current_boot_id(ROOT),
        "keys": kept,
        "lost_at": {each: when for each, when in lost_at.items() if each in kept},
    }
    replace_file(file, json.dumps(data).encode(), 0o600)
    return is_lost


def key_lost_at(folder: Path) -> int | None:
    """Return when (seconds since the epoch) a key was found deleted; None if none was."""
    with suppress(OSError, KsmrunError):
        file = memory_file(folder)
        if file is None:
            return None
        keys, lost_at = _read(file)
        if str(folder) in keys and not (folder / MASTER_KEY).exists():
            return ceil(time.time())
        return lost_at.get(str(folder))
    return None


def _read(file: Path) -> tuple[dict[str, str], dict[str, int]]:
    data = read_state(file, SCHEMA, SHAPE, f"delete {file}")
    if data is None or data["boot_id"] != current_boot_id(ROOT):
        return {}, {}
    return data["keys"], data["lost_at"]


def memory_file(folder: Path) -> Path | None:
    """Return where it is remembered which key this folder had; None if nowhere."""
    mount = next((each for each in (folder, *folder.parents) if each.is_mount()), None)
    if mount is not None and mount.is_relative_to(RUN):
        return mount / "ksmrun-layout-keys.json"
    states = own_state_folder()
    return None if states is None else states / "layout-keys.json"
