"""Measure the CPU time of `ksmrun ps` on a host with many processes, of which some merge.

.venv/bin/python tests/bench/ps.py [--processes 5000] [--merging 2000]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

from ksmrun.facts.launcher import launcher_path

KSMRUN = str(Path(sys.executable).with_name("ksmrun"))
HOLD = """
import os, sys
for _ in range(int(sys.argv[1])):
    os.posix_spawn("/bin/sleep", ["sleep", "infinity"], {})
print(flush=True)
sys.stdin.buffer.read()
"""
ROUNDS = 8


def main() -> None:
    """Print the median and the least."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=5000)
    parser.add_argument("--merging", type=int, default=2000)
    options = parser.parse_args()
    if os.getpid() != 1:
        # With the list of its own PID namespace, and an end to all that it starts.
        inside = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        os.execvp(inside[0], [*inside, sys.executable, *sys.argv])
    plain = [sys.executable, "-S", "-c", HOLD]
    merged = [str(launcher_path()), "--quiet", "--require", "--", *plain]
    others = options.processes - options.merging
    holders = [
        subprocess.Popen([*command, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for command, count in ((merged, options.merging), (plain, others))
    ]
    for holder in holders:
        assert holder.stdout is not None
        holder.stdout.readline()
    seconds = [once() for _ in range(ROUNDS)]
    print(
        f"ksmrun ps, {options.merging} merging of {options.processes} processes: "
        f"{statistics.median(seconds):.2f} s of CPU, {min(seconds):.2f} at the least"
    )


def once() -> float:
    """Return the CPU time of one list, its children's included."""
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(KSMRUN, [KSMRUN, "ps"], os.environ, file_actions=quiet)
    _, status, used = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
