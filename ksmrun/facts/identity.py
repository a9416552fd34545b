"""Identity of a process.

Its /proc folder is held open, so that a reused PID is not confused with it.
"""

from __future__ import annotations

import errno
import os
import pwd
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

from ksmrun.facts.containers import container_name
from ksmrun.facts.maps import COMMAND_BYTES_MAX
from ksmrun.facts.placement import placement
from ksmrun.facts.text import parse_fields, parse_int, read_text
from ksmrun.model.process import Identity
from ksmrun.support.foreign import FLAGS, drain

# include/linux/sched.h; kernel threads have no memory of their own.
PF_KTHREAD = 0x00200000
SHOWN_BYTES_MAX = 4096
STAT_BYTES_MAX = 4096
# Number of threads searched for a living one.
THREADS_MAX = 1000


@dataclass(frozen=True)
class Stat:
    """/proc/PID/stat (proc_pid_stat(5)), which every user may read."""

    name: str
    state: str
    parent: int
    start_ticks: int
    is_kernel_thread: bool


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


def read_stat(folder: Path) -> Stat:
    """Return the process's stat. Raises OSError if it ended."""
    data = drain(os.open(folder / "stat", FLAGS), STAT_BYTES_MAX)
    text = data.decode("utf-8", "surrogateescape")
    if ")" not in text:
        raise ProcessLookupError(errno.ESRCH, "it has ended", str(folder))
    # The name is in parentheses and may contain anything, including parentheses.
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(
        name=text[text.index("(") + 1 : text.rindex(")")],
        state=fields[0],
        parent=int(fields[1]),
        start_ticks=int(fields[19]),
        is_kernel_thread=bool(int(fields[6]) & PF_KTHREAD),
    )


def with_memory(folder: Path) -> Path:
    """Return the folder whose files show the process's memory. Raises OSError.

    If the main thread has ended (pthread_exit(3)), the process's own files are empty, and those of
    a living thread are used.
    """
    if read_stat(folder).state in "ZX":
        for task in islice((folder / "task").iterdir(), THREADS_MAX):
            with suppress(OSError):
                if read_stat(task).state not in "ZX":
                    return task
    return folder


def thread_with_memory(pid: int) -> int:
    """Return the ID of that thread, by which /proc and ptrace(2) know the process too."""
    with suppress(OSError):
        return int(with_memory(Path(f"/proc/{pid}")).name)
    return pid


def read_identity(folder: Path, pid: int) -> Identity:
    """Return the identity of the process with this folder. Raises OSError if it ended."""
    stat = read_stat(folder)
    memory = with_memory(folder) if stat.state in "ZX" else folder
    where = placement(read_text(folder / "cgroup") or "")
    uid = _effective_uid(read_text(folder / "status") or "")
    container = where.container
    return Identity(
        pid=pid,
        start_ticks=stat.start_ticks,
        name=stat.name,
        command=_command(memory) or stat.name,
        executable=_executable(memory),
        uid=uid,
        user=None if uid is None else user_name(uid),
        unit=where.unit,
        engine=None if container is None else container.engine,
        container=None if container is None else container_name(container, pid),
        container_id=None if container is None else container.id,
        pod=None if container is None else container.pod,
    )


@cache
def user_name(uid: int) -> str:
    """Return the host's name for the user, else the number. It knows no users of containers."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _effective_uid(status: str) -> int | None:
    fields = parse_fields(status).get("Uid", "").split()
    return parse_int(fields[1]) if len(fields) > 1 else None


def _command(folder: Path) -> str:
    """Return the command line as shown, truncated: it may be megabytes long."""
    return shlex.join(command_words(folder, SHOWN_BYTES_MAX))


def command_words(folder: Path, limit: int = COMMAND_BYTES_MAX) -> list[str]:
    """Return the words of the command line; empty for kernel threads and ended processes."""
    # A program that overwrites its arguments leaves many zeros behind.
    text = (read_text(folder / "cmdline", limit) or "").rstrip("\0")
    return text.split("\0") if text else []


def _executable(folder: Path) -> str | None:
    """Return the executable; None if it is another user's. For a replaced file, the path it had."""
    try:
        return str((folder / "exe").readlink()).removesuffix(" (deleted)")
    except OSError:
        return None
