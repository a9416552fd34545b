"""Identity of a process.

Its /proc folder is held open, so that a reused PID is not confused with it.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from ksmrun.facts.containers import container_name
from ksmrun.facts.job import own_job
from ksmrun.facts.placement import placement
from ksmrun.facts.stat import Stat, command_words, read_link, read_stat
from ksmrun.facts.text import read_or_raise
from ksmrun.model.process import Identity

SHOWN_BYTES_MAX = 4096
# Behind the real one (proc_pid_status(5)). In the name, before it, a line feed is escaped.
EFFECTIVE_UID = re.compile(r"^Uid:\s+\d+\s+(\d{1,10})\b", re.MULTILINE | re.ASCII)


@contextmanager
def pinned(pid: int, proc: Path = Path("/proc")) -> Iterator[Path]:
    """Yield a folder that stays this process's: once it has ended, its files cannot be read.

    Raises OSError if there is no such process.
    """
    descriptor = os.open(proc / str(pid), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def read_identity(folder: Path, pid: int, stat: Stat | None = None) -> Identity:
    """Return the identity of the process with this folder. Raises OSError if it ended.

    stat: of the process, if it was just read.
    """
    stat = stat or read_stat(folder)
    where = placement(read_or_raise(f"{folder}/cgroup") or "")
    uid = _effective_uid(read_or_raise(f"{folder}/status") or "")
    container = where.container
    return Identity(
        pid=pid,
        start_ticks=stat.start_ticks,
        name=stat.name,
        command=_command(folder) or stat.name,
        executable=_executable(folder),
        uid=uid,
        user=None if uid is None else user_name(uid),
        unit=where.unit,
        engine=None if container is None else container.engine,
        container=None if container is None else container_name(container, pid),
        container_id=None if container is None else container.id,
        pod=None if container is None else container.pod,
        job=where.job or own_job(folder, uid),
    )


@cache
def user_name(uid: int) -> str:
    """Return the host's name for the user, else the number. It knows no users of containers."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _effective_uid(status: str) -> int | None:
    found = EFFECTIVE_UID.search(status)
    return None if found is None else int(found[1])


def _command(folder: Path) -> str:
    """Return the command line as shown, truncated: it may be megabytes long."""
    return shlex.join(command_words(folder, SHOWN_BYTES_MAX))


def _executable(folder: Path) -> str | None:
    """Return the executable; None if it is another user's. For a replaced file, the path it had."""
    try:
        return str(read_link(folder, "exe")).removesuffix(" (deleted)")
    except OSError:
        return None
