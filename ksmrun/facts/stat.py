"""/proc/PID/stat, and whose files show the memory of a process whose main thread has ended."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

from ksmrun.facts.text import read_or_raise
from ksmrun.model.frozen import dataclass
from ksmrun.support.foreign import FLAGS, drain, raise_shortage

# include/linux/sched.h; kernel threads have no memory of their own.
PF_KTHREAD = 0x00200000
STAT_BYTES_MAX = 4096
# A program can make its command line gigabytes long (prctl(2): PR_SET_MM_MAP).
COMMAND_BYTES_MAX = 1 << 17
# Number of threads searched for a living one.
THREADS_MAX = 1000
ENDED = ("Z", "X")

T = TypeVar("T")


@dataclass(frozen=True)
class Stat:
    """/proc/PID/stat (proc_pid_stat(5)), which every user may read.

    cpu_ticks: user and system time so far. threads: 0 if all have ended. image: places of code,
    stack, data and arguments, which an exec changes. Constant for users who may not read the
    process's memory.
    """

    name: str
    state: str
    parent: int
    start_ticks: int
    is_kernel_thread: bool
    cpu_ticks: int
    image: tuple[int, ...] = ()
    session: int = 0
    threads: int = 0


def read_stat(folder: Path) -> Stat:
    """Return the process's stat. Raises OSError if it ended."""
    data = drain(os.open(f"{folder}/stat", FLAGS), STAT_BYTES_MAX)
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
        cpu_ticks=int(fields[11]) + int(fields[12]),
        # startcode to startstack, start_data to env_end.
        image=tuple(map(int, (*fields[23:26], *fields[42:49]))),
        session=int(fields[3]),
        threads=int(fields[17]),
    )


def read_program(folder: Path) -> Stat:
    """Return the process's stat with the image of a living thread. Raises OSError if it ended."""
    stat = read_stat(folder)
    memory = with_memory(folder) if stat.state in ENDED else folder
    return stat if memory == folder else replace(stat, image=read_stat(memory).image)


def with_memory(folder: Path) -> Path:
    """Return the folder whose files show the process's memory. Raises OSError.

    If the main thread has ended (pthread_exit(3)), the process's own files are empty, and those of
    a living thread are used.
    """
    if read_stat(folder).state in ENDED:
        for task in islice((folder / "task").iterdir(), THREADS_MAX):
            try:
                if read_stat(task).state not in ENDED:
                    return task
            except OSError as error:
                raise_shortage(error)
    return folder


def thread_with_memory(pid: int) -> int:
    """Return the ID of that thread, by which /proc and ptrace(2) know the process too."""
    with suppress(OSError):
        return int(with_memory(Path(f"/proc/{pid}")).name)
    return pid


def has_living_thread(folder: Path) -> bool:
    """Return whether a thread of the process has not ended yet. Raises OSError if all are gone."""
    return read_stat(with_memory(folder)).state not in ENDED


def living(folder: Path, read: Callable[[Path], T], is_empty: Callable[[T], bool]) -> T:
    """Return what read finds in the process's folder, else in that of a living thread.

    Once the main thread has ended (pthread_exit(3)), its files are empty, not there, or root's
    (fs/proc/base.c: task_dump_owner). Raises OSError as read does.
    """
    try:
        found = read(folder)
    except OSError as error:
        raise_shortage(error)
        if (memory := _another(folder)) is None:
            raise
    else:
        if not is_empty(found) or (memory := _another(folder)) is None:
            return found
    return read(memory)


def read_link(folder: Path, name: str) -> Path:
    """Return where exe, cwd or root of the process leads. Raises OSError."""
    return living(folder, lambda place: (place / name).readlink(), lambda _: False)


def command_words(folder: Path, limit: int = COMMAND_BYTES_MAX) -> list[str]:
    """Return the words of the command line; empty for kernel threads and ended processes."""
    # A program that overwrites its arguments leaves many zeros behind.
    text = living(folder, lambda place: _command_line(place, limit), lambda text: not text)
    return text.split("\0") if text else []


def _command_line(folder: Path, limit: int) -> str:
    return (read_or_raise(f"{folder}/cmdline", limit) or "").rstrip("\0")


def memory_folder(folder: Path) -> Path:
    """Return with_memory(folder), but folder itself where nothing can be read."""
    return _another(folder) or folder


def _another(folder: Path) -> Path | None:
    with suppress(OSError):
        if (memory := with_memory(folder)) != folder:
            return memory
    return None
