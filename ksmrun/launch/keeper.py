"""Run work in a child and leave nothing behind: if one of the two is killed, the other cleans up.

This process becomes the subreaper (PR_SET_CHILD_SUBREAPER): descendants that lose their parents are
reparented to it, and are killed when the work has ended. If this process is killed, the kernel
sends SIGTERM to the worker (PR_SET_PDEATHSIG), which then ends its fleet itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable

import psutil

from ksmrun.support.process_control import become_subreaper, die_with_parent

# Restores KSM if the worker is gone; it ends by itself.
GUARDIAN = "ksmrun.host.temporary_tunables"
GUARDIAN_SECONDS = 30.0
FORWARDED = (signal.SIGTERM, signal.SIGHUP)


def kept(work: Callable[[], int]) -> int:
    """Return the exit code of work, run in a child; 128 plus the signal if one killed it."""
    become_subreaper()
    keeper = os.getpid()
    worker = os.fork()
    if worker == 0:
        # After SIGKILL to the keeper's whole group (timeout -s KILL) one must be left to clean up.
        os.setpgid(0, 0)
        die_with_parent(signal.SIGTERM)
        # Daemonised descendants are reparented to the worker, and to the keeper if that is gone.
        become_subreaper()
        # A terminal's Ctrl-C and a service manager's SIGTERM end it in the same way.
        for number in FORWARDED:
            signal.signal(number, signal.default_int_handler)
        if os.getppid() != keeper:
            os._exit(1)
        code = work()
        # _exit() would lose what is still buffered for a pipe.
        sys.stdout.flush()
        os._exit(code)
    # A terminal sends Ctrl-C to this group only.
    for number in (signal.SIGINT, *FORWARDED):
        signal.signal(number, lambda received, _frame: os.kill(worker, received))
    status = _wait(worker)
    _end_descendants()
    return os.waitstatus_to_exitcode(status) % 256 if os.WIFEXITED(status) else _signal(status)


def _signal(status: int) -> int:
    return 128 + os.WTERMSIG(status)


def _wait(worker: int) -> int:
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == worker:
            return status


def _end_descendants() -> None:
    """Kill all descendants except the guardian, which gets time to restore KSM."""
    deadline = time.monotonic() + GUARDIAN_SECONDS
    while processes := psutil.Process().children(recursive=True):
        for process in processes:
            with contextlib.suppress(psutil.Error):
                if GUARDIAN not in process.cmdline() or time.monotonic() > deadline:
                    process.kill()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        time.sleep(0.02)
