"""The comparison itself: it detects a faulty preload."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from . import test_churn, test_other_suites, test_programs, test_stress
from .compare import HERE, LONG_RUN, Bench

Check = Callable[[Bench, list[str]], None]


def run_program(name: str) -> Check:
    return lambda bench, prefix: test_programs.test_program(bench, prefix, name)


def run_churn(bench: Bench, prefix: list[str]) -> None:
    test_churn.test_churn(bench, prefix, "fork")


def run_cpython(bench: Bench, prefix: list[str]) -> None:
    test_other_suites.test_cpython(bench, prefix, next(iter(test_other_suites.CPYTHON)))


FAULTS: dict[str, Check] = {
    "file": run_program("users.sh"),
    "process": run_program("users.sh"),
    "ipc": run_program("users.sh"),
    "output": run_program("users.sh"),
    "descriptor": run_program("shells.bash"),
    "errno": run_program("python.py"),
    "madvise": run_program("python.py"),
    "lost fork": run_churn,
    "crash": test_stress.test_stressors_together,
    "no mremap": run_cpython,
}


# Those that take seconds.
SLOW = {"process", "lost fork", "crash"}


@pytest.mark.parametrize(
    "fault", [pytest.param(name, marks=[LONG_RUN] * (name in SLOW)) for name in FAULTS]
)
def test_a_fault_is_seen(bench: Bench, fault: str) -> None:
    library = bench.folder / "fault.so"
    options = ["-shared", "-fPIC", "-w", f'-DFAULT="{fault}"', "-o", str(library)]
    subprocess.run(["gcc", *options, HERE / "fault.c"], check=True)
    with pytest.raises(AssertionError):
        FAULTS[fault](bench, bench.prefix("/mnt/programs/fault.so"))
