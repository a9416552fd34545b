"""Measure ksmd's CPU time per page, by having it scan two processes made for that."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from ksmrun.facts.launcher import launcher_path
from ksmrun.host.temporary_tunables import borrowed
from ksmrun.model.tuning import ScanCost
from ksmrun.observe.scanning import ksmd_counters

# Half random and half equal in both, so that ksmd compares and merges.
TRIAL_MIB = 64
TRIAL_SECONDS = 1.5
TRIAL = (
    f"import os, random; random.seed(1); a = random.randbytes({TRIAL_MIB // 2} << 20); "
    f"b = os.urandom({TRIAL_MIB // 2} << 20); print('ready', flush=True); input()"
)


def cost_by_trial() -> ScanCost | None:
    """Return the measured cost; needs root. None if the kernel does not count scanned pages.

    Raises KsmrunError if KSM cannot be switched on.
    """
    line: list[str | Path] = [launcher_path(), "--quiet", "--", sys.executable, "-c", TRIAL]
    pipe = subprocess.PIPE
    trials = [subprocess.Popen(line, stdin=pipe, stdout=pipe) for _ in range(2)]
    try:
        for trial in trials:
            assert trial.stdout is not None
            trial.stdout.readline()
        with borrowed({"run": "1", "pages_to_scan": "10000", "sleep_millisecs": "1"}):
            time.sleep(TRIAL_SECONDS / 3)
            before = ksmd_counters()
            time.sleep(TRIAL_SECONDS)
            after = ksmd_counters()
    finally:
        for trial in trials:
            trial.communicate(b"\n")
    if before is None or after is None:
        return None
    pages = after.pages_since(before)
    if not pages:
        return None
    used = after.cpu_seconds - before.cpu_seconds
    return ScanCost(used / pages, f"measured over {pages} pages of a trial")
