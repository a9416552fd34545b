"""What is said about the group's seeds in a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksmrun.facts.seeds import has_group_seed
from ksmrun.plan.runtimes import RUNTIMES
from ksmrun.plan.seeds import MALLOC, SHARED, seeds_row, shared_seeds


def test_what_is_shared() -> None:
    assert set(SHARED) <= set(RUNTIMES)
    for name, what in SHARED.items():
        assert shared_seeds(name, "musl") == what
        assert shared_seeds(name, "glibc") == f"{what}; {MALLOC}"
    assert shared_seeds("Go", "glibc") == shared_seeds(None, "glibc") == MALLOC
    assert shared_seeds("Go", None) is None
    assert "Math.random()" in SHARED["Node.js"]


def test_the_row_of_check() -> None:
    row = seeds_row("Node.js", "glibc", None)
    assert row is not None and row.status == "ok"
    assert "Math.random()" in row.found and "--seeds=own" in row.todo
    assert seeds_row("Go", None, None) is None
    for runtime, status in (("Ruby", "warn"), (None, "ok")):
        row = seeds_row(runtime, "glibc", "it is setuid")
        assert row is not None and row.status == status and "it is setuid" in row.found


@pytest.mark.parametrize(
    ("environment", "has_one"),
    [
        (b"A=1\0KSMRUN_SHIM=keep,seed=0f\0", True),
        (b"KSMRUN_SHIM=seed=0f,once\0B=2\0", True),
        (b"KSMRUN_SHIM=keep\0", False),
        (b"MY_KSMRUN_SHIM=seed=0f\0X=KSMRUN_SHIM=seed=0f\0", False),
        (b"KSMRUN_SHIM=noseed=0f\0", False),
        (b"", False),
    ],
)
def test_whether_a_process_has_the_seed(tmp_path: Path, environment: bytes, has_one: bool) -> None:
    (tmp_path / "environ").write_bytes(environment)
    assert has_group_seed(tmp_path) is has_one


def test_an_environment_that_cannot_be_read(tmp_path: Path) -> None:
    assert has_group_seed(tmp_path) is None
