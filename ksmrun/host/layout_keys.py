"""Keys of shared layouts: a master key, new at each boot, from which group keys are derived."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import json
import os
import pwd
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from ksmrun.facts.text import read_text
from ksmrun.host.key_memory import KEY_BYTES, MASTER_KEY, read_master, rotating, seen_key
from ksmrun.host.keyring import recall, remember
from ksmrun.host.lock import held
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.model.frozen import dataclass
from ksmrun.support.folders import make_folder
from ksmrun.support.foreign import drain, open_regular
from ksmrun.support.safefile import create_file, replace_file, temporary_name
from ksmrun.support.state import read_state
from ksmrun.support.words import quoted

SCHEMA = "ksmrun-layout-1"
SHAPE = {"generations": {str: int}}
GROUP = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Name of what the user's keyring has of an earlier login.
KEPT = "ksmrun-layout"
GENERATIONS = "generations.json"
# logind's: one file per user whose runtime folder stays (loginctl(1): enable-linger).
LINGERING = Path("/var/lib/systemd/linger")


def keys_folder() -> Path:
    """Return the folder: root's in /run, which a reboot empties, others' runtime folders."""
    if given := os.environ.get("KSMRUN_LAYOUT_DIR"):
        return Path(given)
    if os.geteuid() == 0:
        return Path("/run/ksmrun/layout")
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base and Path(base).is_dir():
        return Path(base) / "ksmrun/layout"
    raise KsmrunError(
        f"there is no folder for this user's layout key, as XDG_RUNTIME_DIR names none: {base}"
        if base
        else "there is no folder for this user's layout key, as XDG_RUNTIME_DIR is not set",
        "log in with a session, or set KSMRUN_LAYOUT_DIR to a folder of mode 0700",
    )


@dataclass(frozen=True)
class MadeKey:
    """File with a master key. replaces: the one before it was deleted since boot, not rotated.

    ends_with_login: it was created just now, in a folder that logind removes with the user's last
    session (user@.service(5), logind.conf(5): linger), and cannot be kept beyond that.
    """

    file: Path
    ends_with_login: bool
    replaces: bool = False


def make_master_key(folder: Path) -> MadeKey:
    """Return the file, created if missing. Concurrent calls get the same key."""
    file = folder / MASTER_KEY
    with _explained(folder):
        if file.exists():
            return MadeKey(file, ends_with_login=False, replaces=seen_key(folder))
        ends_with_login = _ends_with_login(folder)
        _create_key(folder, is_first=ends_with_login)
        is_lost = ends_with_login and not _keep(folder)
        return MadeKey(file, is_lost, seen_key(folder))


def _create_key(folder: Path, *, is_first: bool) -> None:
    """Create the file. is_first: with the key of an earlier login, if there is one."""
    _make_keys_folder(folder)
    file = folder / MASTER_KEY
    temporary = folder / temporary_name(file.name)
    key = _restored(folder) if is_first else None
    create_file(temporary, key or secrets.token_bytes(KEY_BYTES), 0o600)
    try:
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(temporary)
    finally:
        temporary.unlink()


def _make_keys_folder(folder: Path) -> None:
    # The one above is that of all of root's state, which others read (launch/trust_claim.py).
    make_folder(folder.parent, 0o755)
    make_folder(folder, 0o700)


def _keep(folder: Path) -> bool:
    """Keep the master key and the generations for this user's next login."""
    master = read_master(folder)
    generations = read_text(folder / GENERATIONS) or ""
    return len(master) == KEY_BYTES and remember(KEPT, master + generations.encode())


def _restored(folder: Path) -> bytes | None:
    """Return the master key of an earlier login, whose generations are written; None if none.

    Programs that outlive a login (nohup, tmux) have its layout, and so does the next copy.
    """
    kept = recall(KEPT)
    if kept is None or len(kept) < KEY_BYTES:
        return None
    if len(kept) > KEY_BYTES:
        replace_file(folder / GENERATIONS, kept[KEY_BYTES:], 0o600)
    return kept[:KEY_BYTES]


def master_key(folder: Path) -> Path:
    """Return only the file's path."""
    return make_master_key(folder).file


def _ends_with_login(folder: Path) -> bool:
    if not folder.is_relative_to("/run/user"):
        return False
    try:
        return not (LINGERING / pwd.getpwuid(os.geteuid()).pw_name).exists()
    except (KeyError, OSError):
        return True


def check_group(group: str) -> None:
    """Raise KsmrunError if this is no valid group name."""
    if GROUP.fullmatch(group) is None:
        raise UsageError(
            f"{quoted(group)} is not a valid name of a layout group",
            "give 1 to 64 letters, digits, dots, dashes or underscores, as in games",
        )


def group_label(folder: Path, group: str) -> str:
    """Return the label the group's key is derived from: its name and number of rotations."""
    check_group(group)
    return f"{group}#{_generations(folder).get(group, 0)}"


def group_key(folder: Path, group: str) -> bytes:
    """Return HMAC-SHA256 of the label, which ksmrun-exec derives too."""
    with _explained(folder):
        file = master_key(folder)
        descriptor = open_regular(file, follow=False)
        status = os.fstat(descriptor)
        master = drain(descriptor, KEY_BYTES + 1)
    # Same rule as in ksmrun-exec: what others could read or plant is not accepted as a key.
    if status.st_mode & 0o077 or status.st_uid not in (0, os.geteuid()) or len(master) != KEY_BYTES:
        raise KsmrunError(
            f"{file} is not a layout key: {KEY_BYTES} bytes that only their owner can read",
            f"remove it, and start the programs of the group again: rm {file}",
        )
    return hmac.new(master, group_label(folder, group).encode(), hashlib.sha256).digest()


def write_group_key(folder: Path, group: str, output: Path) -> None:
    """Write the key to a file that only its owner can read. Raises KsmrunError if it exists."""
    key = group_key(folder, group)
    with _explained(output):
        make_folder(output.parent, 0o700)
        create_file(output, key, 0o400)


def rotate(folder: Path, group: str | None) -> None:
    """Give later launches another layout, in one group or in all. Raises KsmrunError."""
    if group is not None:
        check_group(group)
    with _explained(folder):
        _make_keys_folder(folder)
        if group is not None and _ends_with_login(folder):
            # With the generations of an earlier login.
            master_key(folder)
        with held(folder / "lock", wait=True):
            if group is None:
                # Replaced, not deleted: a launch just then would restore an earlier login's.
                with rotating(folder):
                    replace_file(folder / MASTER_KEY, secrets.token_bytes(KEY_BYTES), 0o600)
            else:
                _count_rotation(folder, group)
            is_kept = not _ends_with_login(folder) or _keep(folder)
        _renew_units(folder)
    if not is_kept and recall(KEPT) is not None:
        raise KsmrunError(
            "rotated for this login only: this user's keyring has the earlier key, which the next "
            "login restores, and does not take the new one",
            "see whether its quota is used up (cat /proc/key-users), and rotate again",
        )


def _count_rotation(folder: Path, group: str) -> None:
    generations = _generations(folder)
    generations[group] = generations.get(group, 0) + 1
    text = json.dumps({"schema": SCHEMA, "generations": generations})
    replace_file(folder / GENERATIONS, text.encode(), 0o600)


def _renew_units(folder: Path) -> None:
    """Renew the keys that wrapped services get at their next start (see ksmrun/wrap/dropin.py)."""
    for file in (folder / "units").glob("*.key"):
        replace_file(file, group_key(folder, file.stem), 0o400)


def _generations(folder: Path) -> dict[str, int]:
    todo = "remove it; programs started after that get another layout"
    try:
        data = read_state(folder / GENERATIONS, SCHEMA, SHAPE, todo)
    except KsmrunError as error:
        raise KsmrunError(error.what, error.todo) from error
    counts: dict[str, int] = {} if data is None else data["generations"]
    return counts


def _todo(error: OSError) -> str:
    if error.errno == errno.EEXIST:
        return "remove that file first, or give another"
    return "check the permissions and free space of its folder"


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise KsmrunError(
            f"cannot use {path}: {error.strerror}",
            _todo(error),
        ) from error
