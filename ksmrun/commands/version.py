"""`ksmrun --version`: the version, and what this kernel has."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ksmrun import __version__
from ksmrun.model.package import package_file

WRITE_TODO = "check what stdout is connected to, and its free space"
# Written by native/commit.cmake.
COMMIT = package_file("commit")
STATES = {0: "off", 1: "on", 2: "unmerging"}


def version_text() -> str:
    """Return four lines: version, kernel, state of KSM, and launcher."""
    # Imported here: each command imports this module for WRITE_TODO.
    from ksmrun.facts.ksm import read_ksm
    from ksmrun.model.wrap import LAUNCHER, OWN

    uname = os.uname()
    ksm = read_ksm()
    if not ksm.present:
        state = "not there (no CONFIG_KSM, or /sys is not mounted)"
    else:
        run = ksm.run
        state = f"{STATES.get(run, 'unknown')} (run={run})" if run is not None else "unreadable"
        features = [name for name in ("smart_scan", "advisor_mode") if name in ksm.values]
        state += f", with {' and '.join(features)}" if features else ""
    commit = built_from(COMMIT)
    release = f"{__version__} (commit {commit})" if commit else __version__
    own = OWN.resolve() / LAUNCHER.name
    launcher = str(own) if own == LAUNCHER else f"{own}; wraps name {LAUNCHER}"
    lines = (f"ksmrun {release}", f"kernel {uname.release} {uname.machine}", f"KSM {state}")
    return "\n".join((*lines, f"launcher {launcher}"))


def built_from(file: Path) -> str | None:
    """Return the commit of the sources, with "-dirty" if they were changed; None if unknown."""
    try:
        with file.open(encoding="ascii") as opened:
            found = re.fullmatch(r"[0-9a-f]{12,40}(-dirty)?", opened.read(64).strip())
    except (OSError, ValueError):
        return None
    return found[0] if found else None
