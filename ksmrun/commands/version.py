"""`ksmrun --version`: the version, and what this kernel has."""

from __future__ import annotations

import os

from ksmrun import __version__
from ksmrun.facts.ksm import read_ksm
from ksmrun.model.wrap import LAUNCHER, OWN

WRITE_TODO = "check what stdout is connected to, and its free space"
STATES = {0: "off", 1: "on", 2: "unmerging"}


def version_text() -> str:
    """Return four lines, of which the first is the version alone."""
    uname = os.uname()
    ksm = read_ksm()
    if not ksm.present:
        state = "not there (no CONFIG_KSM, or /sys is not mounted)"
    else:
        run = ksm.run
        state = f"{STATES.get(run, 'unknown')} (run={run})" if run is not None else "unreadable"
        features = [name for name in ("smart_scan", "advisor_mode") if name in ksm.values]
        state += f", with {' and '.join(features)}" if features else ""
    own = OWN.resolve() / LAUNCHER.name
    launcher = str(own) if own == LAUNCHER else f"{own}; wraps name {LAUNCHER}"
    lines = (f"ksmrun {__version__}", f"kernel {uname.release} {uname.machine}", f"KSM {state}")
    return "\n".join((*lines, f"launcher {launcher}"))
