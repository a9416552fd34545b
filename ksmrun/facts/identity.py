"""Who a process is. Its folder of /proc is held open meanwhile, so a reused PID is not mixed up."""

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
from ksmrun.facts.text import parse_fields, parse_int, read_or_raise
from ksmrun.model.process import Identity
from ksmrun.support.foreign import FLAGS, drain, raise_shortage

# include/linux/sched.h; kernel threads have no memory of their own.
PF_KTHREAD = 0x00200000
SHOWN_BYTES_MAX = 4096
STAT_BYTES_MAX = 4096
# Looked at for one that lives.
THREADS_MAX = 1000


@dataclass(frozen=True)
class Stat:
    """/proc/PID/stat (proc_pid_stat(5)), which everybody may read.

    image: where code, stack, data and arguments lie, which an exec places anew; all the same for
    who may not read the process's memory.
    """

    name: str
    state: str
    parent: int
    start_ticks: int
    is_kernel_thread: bool
    image: tuple[int, ...] = ()


@contextmanager
def pinned(pid: int, proc: Path = Path("/proc")) -> Iterator[Path]:
    """A folder that stays this very process: when that has ended, its files cannot be read.

    Raises OSError where there is none.
    """
    descriptor = os.open(proc / str(pid), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def read_stat(folder: Path) -> Stat:
    """Raises OSError: it ended."""
    data = drain(os.open(folder / "stat", FLAGS), STAT_BYTES_MAX)
    text = data.decode("utf-8", "surrogateescape")
    if ")" not in text:
        raise ProcessLookupError(errno.ESRCH, "it has ended", str(folder))
    # The name is in parentheses and may hold anything, parentheses too.
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(
        name=text[text.index("(") + 1 : text.rindex(")")],
        state=fields[0],
        parent=int(fields[1]),
        start_ticks=int(fields[19]),
        is_kernel_thread=bool(int(fields[6]) & PF_KTHREAD),
        # startcode to startstack, start_data to env_end.
        image=tuple(map(int, (*fields[23:26], *fields[42:49]))),
    )


def with_memory(folder: Path) -> Path:
    """Return the folder whose files tell of the process's memory: that of a living thread where the
    main one has ended (pthread_exit(3)), as those of the process are empty then. Raises OSError.
    """
    if read_stat(folder).state in "ZX":
        for task in islice((folder / "task").iterdir(), THREADS_MAX):
            try:
                if read_stat(task).state not in "ZX":
                    return task
            except OSError as error:
                raise_shortage(error)
    return folder


def thread_with_memory(pid: int) -> int:
    """Return the number of that thread, by which /proc and ptrace(2) know the process too."""
    with suppress(OSError):
        return int(with_memory(Path(f"/proc/{pid}")).name)
    return pid


def read_identity(folder: Path, pid: int) -> Identity:
    """Of the process whose folder this is. Raises OSError: it ended."""
    stat = read_stat(folder)
    memory = with_memory(folder) if stat.state in "ZX" else folder
    where = placement(read_or_raise(folder / "cgroup") or "")
    uid = _effective_uid(read_or_raise(folder / "status") or "")
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
    """The host's name for it, else the number: of users in containers it knows none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _effective_uid(status: str) -> int | None:
    fields = parse_fields(status).get("Uid", "").split()
    return parse_int(fields[1]) if len(fields) > 1 else None


def _command(folder: Path) -> str:
    """Its words, as far as they are shown: a command line may be megabytes long."""
    return shlex.join(command_words(folder, SHOWN_BYTES_MAX))


def command_words(folder: Path, limit: int = COMMAND_BYTES_MAX) -> list[str]:
    """The command line of the process whose folder this is; empty of the kernel's own threads and
    of one that has ended.
    """
    # A program that writes over its arguments leaves many zeros behind.
    text = (read_or_raise(folder / "cmdline", limit) or "").rstrip("\0")
    return text.split("\0") if text else []


def _executable(folder: Path) -> str | None:
    """None where it is another user's; a file that was replaced counts as the one it was."""
    try:
        return str((folder / "exe").readlink()).removesuffix(" (deleted)")
    except OSError:
        return None
