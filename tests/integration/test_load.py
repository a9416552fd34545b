"""Launches while ksmd scans at its fastest: none loses the flag."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from volume import volume

LAUNCHES = volume(10_000)


@pytest.mark.usefixtures("ksm_on")
@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_every_launch_carries_the_flag(programs: Any, launcher: str, kind: str) -> None:
    """Before 6.12.64 and 6.18.3 ksmd could drop the flag of a program that had no memory yet."""
    scans = Path("/sys/kernel/mm/ksm/full_scans")
    before = int(scans.read_text())
    target = programs.flag_static if kind == "static" else programs.flag
    command = [programs.flag, str(LAUNCHES), launcher, "--quiet", "--", target]
    # A scan takes as long as all the memory on the host needs that merges.
    while int(scans.read_text()) - before <= 10:
        good = int(subprocess.run(command, capture_output=True, check=True).stdout)
        assert good == LAUNCHES, f"{LAUNCHES - good} of {LAUNCHES} launches lost the flag"
