"""Arms as the user gives them: options of `ksmrun run`, planned once by `ksmrun run --dry-run`."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

from ksmrun.host.temporary_tunables import as_this_python
from ksmrun.model.errors import UsageError
from ksmrun.model.experiment import Arm
from ksmrun.support.words import shortened

DEFAULT = ("off=--merge=off", "on=")
PLAN_SECONDS = 60.0


def parse(texts: Sequence[str]) -> tuple[Arm, ...]:
    """Parse NAME=OPTIONS, at least two of them. Raises KsmrunError."""
    arms = []
    for text in texts:
        name, mark, options = text.partition("=")
        if not mark or not name.isidentifier():
            raise UsageError(
                f"--arm={shortened(text)} is not NAME=OPTIONS",
                "give for example --arm layout='--layout shared'",
            )
        try:
            arms.append(Arm(name, tuple(shlex.split(options))))
        except ValueError as error:
            raise UsageError(f"--arm={shortened(text)}: {error}", "close the quote") from error
    names = [arm.name for arm in arms]
    if len(arms) < 2 or len(set(names)) < len(names):
        raise UsageError(
            "an experiment needs at least two arms with different names, not "
            f"{', '.join(names) or 'none'}",
            "give --arm twice or more; the others are compared with the first",
        )
    return tuple(arms)


def planned(arm: Arm, command: Sequence[str]) -> Arm:
    """Return the arm with its launcher options.

    Raises KsmrunError with the output of `ksmrun run`.
    """
    line = [
        sys.executable,
        *as_this_python(),
        "-m",
        "ksmrun",
        "run",
        "--dry-run",
        *arm.options,
        "--",
        *command,
    ]
    done = subprocess.run(
        line,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=PLAN_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        what, _, todo = said.removeprefix("ksmrun: ").partition("; ")
        raise UsageError(f"--arm {arm.name}: {what}", todo or "see `ksmrun run --help`")
    words = shlex.split(done.stdout)
    return replace(arm, launcher_options=tuple(words[1 : words.index("--")]))
