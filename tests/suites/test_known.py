"""Traces of the shim that a program can see if it looks: each of these is expected to differ.

If a difference vanishes, its test fails; its row then moves to a script in `scripts/`.
"""

from __future__ import annotations

import pytest

from .compare import LONG_RUN, PYTHON, Bench, has_shim

NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups"
# Shown by both: the variable.
EVERY_SHIM = {"environment": "env | grep -c LD_PRELOAD"}
# Shown by the thread that marks.
MARK = {
    "threads": "grep Threads /proc/self/status",
    # Each process counts twice for RLIMIT_NPROC and for pids.max.
    "process limit": f"""{NOBODY} bash -c '
        ulimit -u 2
        sleep 0.2 &
        wait'""",
    # Its descriptors are in /proc, but not at every moment.
    "unmounting /proc": """unshare -m sh -c '
        for i in 1 2 3 4 5 6 7 8 9 10; do
            mount -t proc proc /proc
            sh -c "sleep 0.2; umount /proc; echo \\$?" || true
        done'""",
    "affinity": f"""{PYTHON} -c '
import os, time
time.sleep(0.3)
os.sched_setaffinity(0, {{0}})
os.system(f"grep -h Cpus_allowed_list /proc/{{os.getpid()}}/task/*/status")'""",
    "user of a thread": f"""{PYTHON} -c '
import os, time
time.sleep(0.3)
os.setresuid(33, 33, 33)
os.system(f"grep -h Uid /proc/{{os.getpid()}}/task/*/status")'""",
}


@LONG_RUN
@pytest.mark.parametrize("name", EVERY_SHIM | MARK)
def test_known_difference(bench: Bench, prefix: list[str], name: str) -> None:
    command = ["sh", "-c", (EVERY_SHIM | MARK)[name]]
    is_marking = any(word.startswith("--shim=mark") for word in prefix)
    if (has_shim(prefix) and name in EVERY_SHIM) or is_marking:
        with pytest.raises(AssertionError, match="wrapped"):
            bench.alike(prefix, command)
    else:
        bench.alike(prefix, command)
