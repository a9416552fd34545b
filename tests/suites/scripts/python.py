"""Threads that fork, pools, subprocesses, shared memory, mappings, raw system calls."""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import shared_memory
from pathlib import Path


def square(number: int) -> int:
    return number * number


def forked(number: int) -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(number % 200)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def pools() -> None:
    with ThreadPoolExecutor(8) as pool:
        print(sum(pool.map(forked, range(400))))
        print(list(pool.map(lambda n: subprocess.call(["sh", "-c", f"exit {n}"]), range(40))))
    for method in ("fork", "forkserver", "spawn"):
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(3, mp_context=context) as processes:
            print(sum(processes.map(square, range(500))))


def memory() -> None:
    block = shared_memory.SharedMemory(create=True, size=1 << 20)
    assert block.buf is not None
    block.buf[:4] = b"abcd"
    print(bytes(block.buf[:4]), Path("/dev/shm", block.name).exists())
    block.close()
    block.unlink()
    area = mmap.mmap(-1, 1 << 24, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    area[:] = b"x" * (1 << 24)
    for name in ("DONTNEED", "WILLNEED", "HUGEPAGE", "DONTFORK", "MERGEABLE", "UNMERGEABLE"):
        area.madvise(getattr(mmap, f"MADV_{name}"))
        print(name, area[:2], area[-2:])
    area.resize(1 << 25)
    print(len(area), area[-1])


def calls() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    calls: tuple[Callable[[], int], ...] = (
        lambda: libc.madvise(ctypes.c_void_p(1), 4096, 4),
        lambda: libc.madvise(None, 0, 12),
        lambda: libc.madvise(None, 4096, 12),
        lambda: libc.prctl(999, 0, 0, 0, 0),
        lambda: libc.prctl(68, 1, 2, 3, 4),
        lambda: libc.syscall(99999),
        lambda: libc.unshare(-1),
        lambda: libc.setns(-1, 0),
        lambda: libc.munmap(1, 1),
    )
    for call in calls:
        ctypes.set_errno(0)
        print(call(), ctypes.get_errno())
    print(libc.syscall(39) == os.getpid(), libc.syscall(186) == threading.get_native_id())


def signals() -> None:
    seen: list[int] = []
    for number in (signal.SIGCHLD, signal.SIGUSR1, signal.SIGRTMIN + 1):
        signal.signal(number, lambda number, _: seen.append(number))
        signal.raise_signal(number)
    os.kill(os.getpid(), signal.SIGUSR1)
    print(signal.pthread_sigmask(signal.SIG_BLOCK, []), len(seen))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    print(signal.sigtimedwait({signal.SIGUSR2}, 0.05) if seen else None)


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    for part in (pools, memory, calls, signals):
        part()
    print(os.system("kill -9 $$"), sorted(Path("/proc/self/fd").glob("*")))
    sys.stdout.flush()
    sys.exit(subprocess.call(["sh", "-c", "grep -E '^(Sig[^Q]|Shd)' /proc/self/status; exit 11"]))
