"""Job of Slurm that a process belongs to."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ksmrun.facts.stat import living
from ksmrun.facts.text import read_or_raise

# Cgroups that slurmstepd makes, as root: v1's are /slurm/uid_U/job_J/step_S, or /slurm_NODE/...
# with several slurmd on a host; v2's are in a scope of its own (src/plugins/cgroup in Slurm's
# sources, cgroup_v1.c and cgroup_v2.c). Only from the root: anybody may use such names below.
PATH = re.compile(
    r"(?:/slurm(?:_[^/]+)?/uid_\d{1,10}|/system\.slice/(?:[^/]+_)?slurmstepd\.scope)"
    r"/job_(\d{1,10})(?:/.*)?",
    re.ASCII | re.DOTALL,
)
# Where jobs have no cgroups (ProctrackType=proctrack/linuxproc).
VARIABLE = re.compile(r"(?:^|\0)SLURM_JOB_ID=(\d{1,10})(?:\0|$)", re.ASCII)
ENVIRONMENT_BYTES_MAX = 1 << 17


def job_of(path: str) -> str | None:
    """Return the number of the job that has this cgroup."""
    found = PATH.fullmatch(path)
    return None if found is None else found[1]


def own_job(folder: Path, uid: int | None) -> str | None:
    """Return the number that this user's own process has in its environment; else None.

    A process may claim there what it likes, so another user's environment is not even read. Raises
    OSError if the process ended.
    """
    if uid != os.geteuid():
        return None
    text = living(folder, _environment, lambda text: not text)
    found = VARIABLE.search(text)
    return None if found is None else found[1]


def _environment(folder: Path) -> str:
    return read_or_raise(f"{folder}/environ", ENVIRONMENT_BYTES_MAX) or ""
