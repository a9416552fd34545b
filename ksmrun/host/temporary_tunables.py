"""Change KSM for the duration of a measurement, and restore it whatever happens to the measurer.

The guardian process restores it. It waits for the end of a pipe, which comes when the block is
left, or when the kernel closes the pipe because this process was killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ksmrun.facts.ksm import ROOT
from ksmrun.host.auto import tuning_pid
from ksmrun.host.record import ANY_VALUE, load, locked, state_folder
from ksmrun.host.recorded import present, short_name
from ksmrun.host.tunables import current, path_of, restore, set_tunables
from ksmrun.model.errors import KsmrunError
from ksmrun.support.paste import pasteable
from ksmrun.support.words import printable

PREFIX = "borrowed-"


@contextmanager
def borrowed(settings: Mapping[str, str], folder: Path | None = None) -> Iterator[None]:
    """Set KSM tunables within the block. Raises KsmrunError if that is not permitted."""
    record_file = record_of(folder)
    # Signals to the measurer's group (Ctrl-C, timeout) must not reach the guardian.
    guardian = subprocess.Popen(
        [sys.executable, *as_this_python(), "-m", "ksmrun.host.temporary_tunables", record_file],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert guardian.stdin is not None
    assert guardian.stdout is not None
    is_guarded = guardian.stdout.readline() == b"ready\n"
    try:
        if not is_guarded:
            raise KsmrunError(
                "KSM is left as it is, because the process that would put it back could not start",
                "see the line above for the reason",
            )
        set_tunables(settings, record_file, ROOT)
        yield
    finally:
        guardian.stdin.close()
        failed = guardian.wait() != 0
        guardian.stdout.close()
        if is_guarded and failed:
            todo = pasteable("sudo ksmrun host restore")
            print(f"ksmrun: KSM was not put back; run: {todo}", file=sys.stderr)


def as_this_python() -> list[str]:
    """Return options for a Python with this one's module path, without the working directory."""
    return [*(["-E"] if sys.flags.ignore_environment else []), "-P"]


@contextmanager
def other_settings(settings: Mapping[str, str], folder: Path | None = None) -> Iterator[None]:
    """Set other values for a while, within borrowed(). Raises KsmrunError.

    They are in the same record, so the guardian restores the original values in any case.
    """
    if not settings:
        yield
        return
    before = {name: current(ROOT, path_of(name)) for name in settings}
    set_tunables(settings, record_of(folder), ROOT)
    try:
        yield
    finally:
        set_tunables(before, record_of(folder), ROOT)


def record_of(folder: Path | None = None) -> Path:
    """Return the record file for set_tunables() calls within borrowed() of this process."""
    return (folder or state_folder()) / f"{PREFIX}{os.getpid()}.json"


def restore_abandoned(folder: Path, root: Path, *, force: bool = False) -> list[str]:
    """Undo records whose guardian was killed too, as `ksmrun host restore` does."""
    lines = []
    for record_file in sorted(folder.glob(f"{PREFIX}*.json")):
        with locked(_life_of(record_file), wait=False) as is_left:
            if is_left:
                lines += restore(record_file, root, force=force)
            else:
                lines += _of_who_runs(record_file, root)
    return lines


def is_abandoned(record_file: Path) -> bool | None:
    """Return whether the guardian of a record is gone; None if this user may not see that."""
    try:
        with locked(_life_of(record_file), wait=False) as found:
            return found
    except KsmrunError as error:
        if isinstance(error.__cause__, PermissionError):
            return None
        raise


def _of_who_runs(record_file: Path, root: Path) -> Iterator[str]:
    pid = record_file.stem.removeprefix(PREFIX)
    is_monitor = str(tuning_pid(record_file.parent)) == pid
    who = "`ksmrun monitor --auto`" if is_monitor else "the measurement"
    yield (
        f"left to {who} of PID {pid}, which still runs and puts it back when it ends "
        f"(kill {pid}{', or systemctl stop ksmrun-monitor' if is_monitor else ''})"
    )
    record = load(record_file)
    for change in () if record is None else record.changes:
        now = present(root, change.path) or ""
        if now != change.before and not {now, ANY_VALUE} & set(change.written):
            name = short_name(change.path)
            yield (
                f"{name} is {now}, which another program or user has set since, so it stays; "
                f"to do: sudo ksmrun host set {name}={change.written[-1]} hands it back, "
                f"{name}={change.before} is what it was before"
            )


def _life_of(record_file: Path) -> Path:
    """Return the lock that the guardian holds as long as it lives."""
    return record_file.with_suffix(".guardian")


def _guard(record_file: Path) -> int:
    # systemd ends all processes of a unit at once; the guardian ends after its measurer.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        with locked(_life_of(record_file), wait=False) as is_first:
            if not is_first:
                return 1
            print("ready", flush=True)
            sys.stdin.buffer.read()
            for line in restore(record_file, ROOT):
                if ": left " in line:
                    print(f"ksmrun: {printable(line)}", file=sys.stderr)
    except KsmrunError as error:
        print(f"ksmrun: {printable(str(error))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_guard(Path(sys.argv[1])))
