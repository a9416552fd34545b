"""Other projects' tests: each test passes, fails or is skipped in the same way."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest

from .compare import LONG_RUN, PYTHON, Bench, Outcome, only
from .jemalloc import build

# From Debian's package of the tests of its own python3, with a minimum number that runs.
CPYTHON = {("test_mmap", "test_os"): 250}
CPYTHON_LONG = {
    ("test_fork1", "test_posix", "test_subprocess", "test_thread", "test_threading"): 600,
    ("test_signal",): 40,
    # test_gdb only runs in a Python that is where it was built, and is skipped both times.
    (
        *("test_ctypes", "test_faulthandler", "test_gdb", "test_resource"),
        *("test_threadsignals", "test_wait3", "test_wait4"),
    ): 400,
}


def cpython_verdicts(folder: Path, outcome: Outcome) -> Outcome:
    lines = []
    for case in ElementTree.parse(folder / "work/junit.xml").iter("testcase"):
        verdicts = sorted({child.tag for child in case} & {"failure", "error", "skipped"})
        lines.append(f"{case.get('name')}: {case.get('status')} {' '.join(verdicts)}")
    return replace(outcome, stdout="\n".join(sorted(lines)), stderr="")


@pytest.mark.parametrize(
    "modules", [*CPYTHON, *(pytest.param(modules, marks=LONG_RUN) for modules in CPYTHON_LONG)]
)
def test_cpython(bench: Bench, prefix: list[str], modules: tuple[str, ...]) -> None:
    command = [PYTHON, "-m", "test", "-j2", "--timeout=300", "--junit-xml=/mnt/work/junit.xml"]
    reduced = partial(cpython_verdicts, bench.folder)
    direct = bench.alike(prefix, [*command, *modules], seconds=900, reduced=reduced)
    lines = direct.stdout.splitlines()
    passed = sum(line.endswith(": run ") for line in lines)
    assert (direct.code, passed >= (CPYTHON | CPYTHON_LONG)[modules]) == (0, True), passed


# jemalloc's own runner, from its own folder, on all test programs.
JEMALLOC = """
cd /mnt/cache/jemalloc
exec sh test/test.sh $(find test/unit test/integration -type f -perm -100 ! -name '*.*' | sort)
"""
JEMALLOC_VERDICT = r"^(=== .*|test_.*: (pass|skip|fail).*|--- .*|Test suite summary.*)"


@LONG_RUN
def test_jemalloc(bench: Bench, prefix: list[str]) -> None:
    build(bench.cache)
    reduced = partial(only, pattern=JEMALLOC_VERDICT)
    direct = bench.alike(prefix, ["sh", "-c", JEMALLOC], seconds=600, reduced=reduced)
    assert direct.code == 0
    assert "fail: 0/110" in direct.stdout.partition("Test suite summary:")[2]
