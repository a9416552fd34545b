"""stress-ng's stressors of memory, forks, threads and signals, with --verify: the same results."""

from __future__ import annotations

import pytest
from volume import IS_LONG

from .compare import HERE, LONG_RUN, Bench, Outcome, has_shim, only

# Together in every run.
MIX = ["malloc", "mmap", "mremap", "brk", "fork", "vfork", "madvise", "pthread", "vm", "sigsegv"]
# Excluded: ksm and others that set the host's tunables; physpage, which fails without ksmrun too;
# mmapfork and bigheap, which use all memory there is.
EACH = (HERE / "stressors").read_text().split()
# These refuse to run as root.
EACH_OF_NOBODY = ["exec", "spawn"]
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
SIZES = ["--vm-bytes=64m", "--malloc-bytes=64m", "--mmap-bytes=64m", "--mremap-bytes=16m"]
# Without the PID. The number of rounds of each stressor differs from run to run.
VERDICT = r"stress-ng: (fail|error|warn):|(?<=\] )(successful|unsuccessful) run|skipped|unsupported"
# The kernel lets a program exempt one range of code from the dispatch of system calls: libc's.
IN_SHIM = pytest.mark.xfail(strict=True, reason="the shim's syscall() is outside of libc's code")
OUTSIDE_OF_LIBC = "usersyscall"
UNITS = [("root", name) for name in (OUTSIDE_OF_LIBC, *EACH)]
UNITS += [("nobody", name) for name in EACH_OF_NOBODY]


def verdict(outcome: Outcome) -> Outcome:
    return only(outcome, VERDICT)


def check(bench: Bench, prefix: list[str], stressors: list[str], seconds: int, user: str) -> None:
    command = [*(NOBODY if user == "nobody" else []), "stress-ng", "--verify", "-t", str(seconds)]
    command += [word for name in stressors for word in (f"--{name}", "1")] + SIZES
    direct = bench.alike(prefix, command, reduced=verdict)
    assert (direct.code, direct.stdout) == (0, "successful run")


def test_stressors_together(bench: Bench, prefix: list[str]) -> None:
    check(bench, prefix, MIX, 2 if IS_LONG else 1, "root")


@LONG_RUN
@pytest.mark.parametrize(("user", "stressor"), UNITS)
def test_stressor(
    request: pytest.FixtureRequest, bench: Bench, prefix: list[str], stressor: str, user: str
) -> None:
    if stressor == OUTSIDE_OF_LIBC and has_shim(prefix):
        request.applymarker(IN_SHIM)
    check(bench, prefix, [stressor], 1, user)
