"""Start copies of a program through ksmrun-exec, wait until they are ready, and end them.

Nothing survives the runner: the kernel kills each copy when its parent dies (prctl(2):
PR_SET_PDEATHSIG), and stop() ends the process group of each.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

from ksmrun.model.errors import EXIT_OWN_FAILURE, KsmrunError
from ksmrun.support.process_control import die_with_parent

STOP_SECONDS = 10.0
TAIL_BYTES = 600


@dataclass(frozen=True)
class Copy:
    """One copy to start: its complete ksmrun-exec command line, its folder, its environment."""

    argv: tuple[bytes, ...]
    folder: Path
    environment: dict[str, str] | None = None


@dataclass
class _Running:
    process: subprocess.Popen[bytes]
    log: Path


class Fleet:
    """Running copies. A context manager: leaving it stops every copy that is left."""

    def __init__(self) -> None:
        self._running: list[_Running] = []

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pids(self) -> tuple[int, ...]:
        """PIDs of the copies, in the order of their start."""
        return tuple(running.process.pid for running in self._running)

    @property
    def codes(self) -> tuple[int | None, ...]:
        """Return the exit code of each copy; None for one that runs."""
        return tuple(running.process.poll() for running in self._running)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the group of every copy."""
        self._signal_groups(number)

    def start(self, copy: Copy) -> None:
        """Start one copy; its stdout and stderr go to `log` in its folder."""
        log = copy.folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                copy.argv,
                cwd=copy.folder,
                env=copy.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent(os.getpid()),
            )
        self._running.append(_Running(process, log))

    def check_alive(self) -> None:
        """Raise KsmrunError, with its output, if a copy has ended."""
        for running in self._running:
            code = running.process.poll()
            if code is not None:
                raise KsmrunError(
                    f"PID {running.process.pid} {_end(code)}; its output ends: "
                    f"{_tail(running.log)}",
                    "start the program by hand to see why"
                    if code
                    else "the program has to run until it is stopped, and in the foreground",
                )

    def tail(self, pid: int) -> str:
        """Return the end of a copy's output, on one line."""
        return next((_tail(each.log) for each in self._running if each.process.pid == pid), "")

    def stop(self) -> None:
        """End every group: SIGTERM, and SIGKILL for what is left after STOP_SECONDS.

        Descendants that have left their group get both as well.
        """
        descendants = list(self._descendants())
        deadline = time.monotonic() + STOP_SECONDS
        self._signal_groups(signal.SIGTERM)
        groups = {running.process.pid for running in self._running}
        for process in descendants:
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if os.getpgid(process.pid) not in groups:
                    process.terminate()
        for running in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.process.wait(max(0.0, deadline - time.monotonic()))
        self._signal_groups(signal.SIGKILL)
        for running in self._running:
            running.process.wait()
        _, left = psutil.wait_procs(descendants, timeout=max(0.0, deadline - time.monotonic()))
        for process in left:
            # psutil compares start times first: a reused PID is not hit.
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._running.clear()

    def _descendants(self) -> Iterator[psutil.Process]:
        for running in self._running:
            with contextlib.suppress(psutil.Error):
                yield from psutil.Process(running.process.pid).children(recursive=True)

    def _signal_groups(self, number: signal.Signals) -> None:
        for running in self._running:
            # Not reaped yet, so the number still denotes this group and no other.
            if running.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(running.process.pid, number)


def _die_with_parent(parent: int) -> Callable[[], None]:
    def prepare() -> None:
        die_with_parent(signal.SIGKILL)
        # The parent may have died before the line above took effect.
        if os.getppid() != parent:
            os._exit(EXIT_OWN_FAILURE)

    return prepare


def _end(code: int) -> str:
    if code >= 0:
        return f"ended with {code}"
    names = {int(number): number.name for number in signal.Signals}
    return f"was killed by {names.get(-code, f'signal {-code}')}"


def _tail(log: Path) -> str:
    try:
        text = log.read_bytes()[-TAIL_BYTES:].decode("utf-8", "replace").strip()
    except OSError as error:
        return f"({error.strerror})"
    return text.replace("\n", " | ") or "(nothing)"
