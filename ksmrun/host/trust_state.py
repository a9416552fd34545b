"""State of trust domains: which one may merge now, for launchers that have no Python.

Root alone writes it, and everybody reads it. A launch holds LOCK_SH on the lock file until its
program runs, a claim LOCK_EX while it looks who merges: so the two never overlap. The lock file is
never deleted, as another one in its place would be another lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from ksmrun.facts.ksm import ROOT
from ksmrun.facts.text import read_text
from ksmrun.host.record import current_boot_id
from ksmrun.model.errors import KsmrunError
from ksmrun.model.trust import DOMAIN_NAME, TRUST_FOLDER, TrustState
from ksmrun.support.advice import write_todo
from ksmrun.support.foreign import drain, open_regular
from ksmrun.support.safefile import open_lock, replace_file
from ksmrun.support.state import distrust

STATE, LOCK = "state", "lock"
FOLDER_MODE, FILE_MODE = 0o755, 0o644
STATE_BYTES_MAX = 256
NONE = "-"
FORM = re.compile(
    rf"ksmrun-trust 1\nboot (?P<boot>[0-9a-f-]{{36}})\ndomain (?P<domain>{DOMAIN_NAME.pattern}|-)\n"
)
# Anybody may take a lock on a file that they can read, so nobody waits for it without an end.
WAIT_SECONDS, PAUSE_SECONDS = 10.0, 0.005
TODO = "run: sudo ksmrun trust release, and claim the domain again"


def read_trust_state(folder: Path = TRUST_FOLDER, root: Path = ROOT) -> TrustState | None:
    """Return the state; None if nothing was claimed since boot. Raises KsmrunError: not trusted."""
    file = folder / STATE
    try:
        descriptor = open_regular(file, follow=False)
        wrong = distrust(descriptor)
        text = drain(descriptor, STATE_BYTES_MAX + 1).decode("ascii", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise KsmrunError(
            f"cannot read {file}: {error.strerror}", f"run: sudo chmod 755 {folder.parent} {folder}"
        ) from error
    except OSError as error:
        raise KsmrunError(f"cannot read {file}: {error.strerror}", TODO) from error
    if wrong:
        raise KsmrunError(f"{file} {wrong}, so it is not trusted", TODO)
    found = FORM.fullmatch(text)
    if found is None:
        raise KsmrunError(f"{file} is damaged (it has other lines than ksmrun writes)", TODO)
    if found["boot"] != current_boot_id(root):
        return None
    return TrustState(None if found["domain"] == NONE else found["domain"], found["boot"])


def write_trust_state(domain: str | None, folder: Path = TRUST_FOLDER, root: Path = ROOT) -> None:
    """Replace the state. For holders of the lock. Raises KsmrunError."""
    text = f"ksmrun-trust 1\nboot {current_boot_id(root)}\ndomain {domain or NONE}\n"
    try:
        # All writers hold the lock, so what others left is of killed ones.
        replace_file(folder / STATE, text.encode(), FILE_MODE, leftover_seconds=0)
    except OSError as error:
        raise _unwritable(folder / STATE, error) from error


@contextlib.contextmanager
def claiming(folder: Path = TRUST_FOLDER, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the lock alone: no launch is between its look at the state and its program.

    Creates folder and lock. Raises KsmrunError, also if somebody else keeps the lock.
    """
    descriptor = _opened(folder)
    try:
        deadline = time.monotonic() + wait_seconds
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise KsmrunError(
                    f"{folder / LOCK} is locked by {_holders(descriptor)} for more than "
                    f"{wait_seconds:g} s",
                    "see why that does not end, or end it, and try again",
                )
            time.sleep(PAUSE_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _opened(folder: Path) -> int:
    try:
        # With the modes of the folders above, whatever the umask is.
        for each in (folder.parent, folder):
            with contextlib.suppress(FileExistsError):
                each.mkdir()
                each.chmod(FOLDER_MODE)
        _refuse_others(folder)
        descriptor = open_lock(folder / LOCK, FILE_MODE)
    except OSError as error:
        raise _unwritable(folder / LOCK, error) from error
    try:
        if wrong := distrust(descriptor):
            raise KsmrunError(f"{folder / LOCK} {wrong}, so it is not trusted", _remove(folder))
        os.fchmod(descriptor, FILE_MODE)
    except KsmrunError:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_others(folder: Path) -> None:
    """Raise KsmrunError if others may put files there."""
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        wrong = distrust(place)
    finally:
        os.close(place)
    if wrong:
        raise KsmrunError(f"{folder} {wrong}, so it is not trusted", _remove(folder))


def _remove(folder: Path) -> str:
    return f"run: sudo rm -r {folder}"


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise KsmrunError(
            f"the trust lock cannot be taken: {error.strerror}", "mount a tmpfs at /run"
        ) from error
    return True


def _holders(descriptor: int) -> str:
    """Return who has the lock (proc_locks(5): the PID, and MAJOR:MINOR:INODE of the file)."""
    inode = str(os.fstat(descriptor).st_ino)
    pids = []
    for line in (read_text(Path("/proc/locks")) or "").split("\n"):
        words = line.split()
        if len(words) > 5 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode:
            pids.append(words[4])
    return f"PID {', '.join(pids[:3])}" if pids else "another process"


def _unwritable(file: Path, error: OSError) -> KsmrunError:
    return KsmrunError(
        f"cannot write {file}: {error.strerror}; no trust domain was claimed",
        "run this as root" if os.geteuid() else write_todo(error),
    )
