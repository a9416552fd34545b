"""Save the plan of a launch for native/front/plan_cache.c, where it is the same for all programs.

The front then starts programs without Python until the next boot. It decides nothing: it compares
what is saved here, and leaves everything else to Python.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ksmrun.facts.launcher import (
    boot_and_filters,
    cache_folder,
    holds_until_boot,
    launcher_path,
    write_cache,
)
from ksmrun.model.errors import KsmrunError
from ksmrun.model.launch import Plan, Probe, Request
from ksmrun.plan.clients import CLIENTS
from ksmrun.plan.command_words import SHELLS, WRAPPERS
from ksmrun.plan.launch import plain_options
from ksmrun.plan.mechanism import is_same_for_all
from ksmrun.support.foreign import read_text

FORMAT = "ksmrun-plan 1"
# Files with a part in the decision: after an upgrade it is made anew.
PACKAGE = Path(__file__).parent.parent
DECIDING = (
    *("commands/client.py", "commands/run.py", "commands/run_plan.py", "launch/plan_cache.py"),
    *("launch/prepare.py", "options/launch.py", "plan/client_kinds.py", "plan/clients.py"),
    *("plan/command_words.py", "plan/launch.py", "plan/mechanism.py"),
)


def save_plan(plan: Plan, request: Request, probe: Probe | None) -> None:
    """Save the plan, best effort, if each program would be started like this one."""
    if probe is None or not _is_general(plan, request, probe, os.environ):
        return
    with contextlib.suppress(OSError, KsmrunError):
        front = Path(sys.argv[0]).absolute().with_name("ksmrun")
        found, folder, status = boot_and_filters(), cache_folder(), front.stat()
        if found is None or folder is None:
            return
        text = _text(*found, front)
        file = folder / f"plan-{'-'.join(found)}-{status.st_dev:x}-{status.st_ino:x}"
        if text is not None and read_text(file) != text:
            write_cache(file, text)


def _is_general(plan: Plan, request: Request, probe: Probe, environment: Mapping[str, str]) -> bool:
    """Return whether only --require, --verify and --quiet were given, and the plan is the usual."""
    usual = Request(
        request.command, require=request.require, verify=request.verify, quiet=request.quiet
    )
    return (
        request == usual
        and not any(name.startswith("KSMRUN_") for name in environment)
        and holds_until_boot(probe)
        and is_same_for_all(probe)
        and not plan.warnings
        and plan.argv[1:] == (*plain_options(request), b"--", *request.command)
    )


def _text(boot_id: str, filters: str, front: Path) -> str | None:
    """Return the file's text; None if a path cannot be in it."""
    # What these programs start is looked at, and a daemon's client is warned of.
    names = " ".join(sorted({*CLIENTS, *SHELLS, *WRAPPERS}))
    deciding = [PACKAGE / name for name in DECIDING]
    rows = [f"launcher {_identity(launcher_path())}"]
    rows += [f"file {_identity(file)}" for file in (front, *deciding)]
    if any("\n" in row for row in rows):
        return None
    head = (FORMAT, f"boot {boot_id}", f"seccomp {filters}", f"python {names}")
    return "\n".join((*head, *rows, "end", ""))


def _identity(file: Path) -> str:
    status = file.stat()
    seconds, nanoseconds = divmod(status.st_mtime_ns, 10**9)
    numbers = (status.st_dev, status.st_ino, status.st_size, seconds, nanoseconds)
    return f"{' '.join(map(str, numbers))} {file}"
