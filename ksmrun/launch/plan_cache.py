"""Save the plan of a launch for native/front/plan_cache.c.

The front then starts programs without Python until the next boot: each program, where the plan is
the same for all, and with `--layout shared` the one that it was made for. The front decides
nothing: it compares what is saved here, and leaves everything else to Python.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ksmrun.facts.launcher import (
    boot_and_filters,
    cache_folder,
    holds_until_boot,
    launcher_path,
    write_cache,
)
from ksmrun.model.errors import KsmrunError
from ksmrun.model.frozen import dataclass
from ksmrun.model.launch import Plan, Probe, Request
from ksmrun.plan.clients import CLIENTS
from ksmrun.plan.command_words import SHELLS, SWITCHES, WRAPPERS
from ksmrun.plan.launch import plain_options
from ksmrun.plan.mechanism import is_same_for_all
from ksmrun.support.foreign import read_text

FORMAT = "ksmrun-plan 2"
# Files with a part in the decision: after an upgrade it is made anew.
PACKAGE = Path(__file__).parent.parent
DECIDING = (
    *("commands/client.py", "commands/run.py", "commands/run_plan.py", "launch/plan_cache.py"),
    *("launch/prepare.py", "options/launch.py", "plan/client_kinds.py", "plan/clients.py"),
    *("plan/command_words.py", "plan/domain.py", "plan/launch.py", "plan/mechanism.py"),
)
DECIDING_LAYOUT = (
    *("facts/capabilities.py", "facts/elf_head.py", "facts/loader.py", "facts/target.py"),
    *("host/key_memory.py", "host/layout_keys.py"),
)
MERGE, SHARED = b"--merge=on", b"--layout=shared"
# Of one boot. Then all are removed, and those in use come again.
PROGRAMS_MAX = 100


@dataclass(frozen=True)
class Needed:
    """What else a plan depends on: the program, files, and paths where there is no file."""

    program: str = ""
    files: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


def save_plan(plan: Plan, request: Request, probe: Probe | None) -> None:
    """Save the plan, best effort, if the same words would have the same one again."""
    if probe is None or not _is_usual(plan, request, probe, os.environ):
        return
    options = _options(plan, request)
    with contextlib.suppress(OSError, KsmrunError):
        front = Path(sys.argv[0]).absolute().with_name("ksmrun")
        found, folder, status = boot_and_filters(), cache_folder(), front.stat()
        if found is None or folder is None:
            return
        file = folder / f"plan-{'-'.join(found)}-{status.st_dev:x}-{status.st_ino:x}"
        needed = Needed()
        if SHARED in options:
            program = _program(request)
            layout = None if program is None else _layout(folder / "layout", options)
            if program is None or layout is None:
                return
            status = program.stat()
            _make_room(file)
            file = file.with_name(f"{file.name}-{status.st_dev:x}-{status.st_ino:x}")
            needed = Needed(_program_identity(status), *layout)
        elif options != (MERGE,):
            return
        text = _text(found, front, options, needed)
        if text is not None and read_text(file) != text:
            write_cache(file, text)


def _is_usual(plan: Plan, request: Request, probe: Probe, environment: Mapping[str, str]) -> bool:
    """Return whether only --require, --verify and --quiet, or a layout, were given.

    request: without the layout, which is in the plan.
    """
    usual = Request(
        request.command, require=request.require, verify=request.verify, quiet=request.quiet
    )
    switches = plain_options(request)[1:]
    return (
        request == usual
        and not any(name.startswith("KSMRUN_") for name in environment)
        and holds_until_boot(probe)
        and is_same_for_all(probe)
        and not plan.warnings
        and plan.argv[1:] == (*_options(plan, request), *switches, b"--", *request.command)
    )


def _options(plan: Plan, request: Request) -> tuple[bytes, ...]:
    """Return the launcher's options that are not the user's switches."""
    others = len(plain_options(request)[1:]) + 1 + len(request.command)
    return plan.argv[1 : max(1, len(plan.argv) - others)]


def _program(request: Request) -> Path | None:
    """Return the file of a program on which the plan depends; None if on more than this file."""
    # Imported here: it is needed for few launches.
    from ksmrun.facts.target import find, look_at

    path = find(request.command[0], os.environb)
    target = look_at(request.command[0], os.environb, request.command[1:])
    # A script's interpreters count too. A static PIE may be a loader, which has another program.
    is_alone = target.path == str(path) and not target.interpreters and target.note is None
    return path if is_alone and (target.dynamic or not target.pie) else None


def _layout(
    folder: Path, options: Sequence[bytes]
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the files of the default group's key, and which are missing; None for another layout.

    folder: where the front's place for these files means that the keys are.
    """
    from ksmrun.host.key_memory import MASTER_KEY, memory_file
    from ksmrun.host.layout_groups import DEFAULT_GROUP
    from ksmrun.host.layout_keys import GENERATIONS, group_label, keys_folder

    if keys_folder() != folder:
        return None
    files = [folder / MASTER_KEY, folder / GENERATIONS]
    if (memory := memory_file(folder)) is not None:
        files.append(memory)
    rows = tuple(_identity(file) for file in files if file.exists())
    absent = tuple(str(file) for file in files if not file.exists())
    # Read after that, so that a rotation in between shows.
    label = group_label(folder, DEFAULT_GROUP)
    key = os.fsencode(folder / MASTER_KEY)
    wanted = (SHARED, b"--layout-key=" + key, b"--layout-group=" + label.encode())
    shim = (b"--preload=", b"--shim=keep")
    others = [each for each in options if each != MERGE and not each.startswith(shim)]
    return (rows, absent) if tuple(others) == wanted else None


def _make_room(file: Path) -> None:
    old = [*file.parent.glob(f"{file.name}-*")]
    for each in old if len(old) >= PROGRAMS_MAX else ():
        each.unlink(missing_ok=True)


def _text(
    found: tuple[str, str], front: Path, options: Sequence[bytes], needed: Needed
) -> str | None:
    """Return the file's text; None if a path cannot be in it."""
    # What these programs start is looked at, and a daemon's client is warned of.
    names = " ".join(sorted({*CLIENTS, *SHELLS, *SWITCHES, *WRAPPERS}))
    deciding = (*DECIDING, *DECIDING_LAYOUT) if needed.program else DECIDING
    boot_id, filters = found
    rows = [FORMAT, f"boot {boot_id}", f"seccomp {filters}", f"python {names}"]
    rows += [f"program {needed.program}"] if needed.program else []
    rows.append(f"launcher {_identity(launcher_path())}")
    rows += [f"option {os.fsdecode(option)}" for option in options]
    rows += [f"file {_identity(file)}" for file in (front, *(PACKAGE / each for each in deciding))]
    rows += [f"file {row}" for row in needed.files]
    rows += [f"none {path}" for path in needed.absent]
    if any("\n" in row for row in rows):
        return None
    return "\n".join((*rows, "end", ""))


def _identity(file: Path) -> str:
    status = file.stat()
    return f"{_numbers(status)} {file}"


def _program_identity(status: os.stat_result) -> str:
    """Return the numbers that change with its content, mode, owner and capabilities."""
    seconds, nanoseconds = divmod(status.st_ctime_ns, 10**9)
    return f"{_numbers(status)} {seconds} {nanoseconds}"


def _numbers(status: os.stat_result) -> str:
    seconds, nanoseconds = divmod(status.st_mtime_ns, 10**9)
    numbers = (status.st_dev, status.st_ino, status.st_size, seconds, nanoseconds)
    return " ".join(map(str, numbers))
