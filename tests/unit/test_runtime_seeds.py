"""What is said about the group's seeds in a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksmrun.facts.seeds import has_group_seed
from ksmrun.model.runtime import NODE_APPLICATION, Runtime
from ksmrun.plan.seeds import MALLOC, SHARED, seeds_row, shared_seeds


def test_what_is_shared() -> None:
    for name, what in SHARED.items():
        runtime = Runtime(name, "it exports something")
        assert shared_seeds(runtime, "musl") == what
        assert shared_seeds(runtime, "glibc") == f"{what}; {MALLOC}"
    go = Runtime("Go", "section .go.buildinfo")
    assert shared_seeds(go, "glibc") == shared_seeds(None, "glibc") == MALLOC
    assert shared_seeds(go, None) is None
    assert "Math.random()" in SHARED["Node.js"]
    application = Runtime("Node.js", "it exports something", variant=NODE_APPLICATION)
    assert shared_seeds(application, "glibc") == MALLOC
    for major in (11, 17, 25):
        java = Runtime("OpenJDK", "it needs libjli.so", version=f"{major}.0.1")
        assert (shared_seeds(java, None) is not None) is (major == 17)


def test_the_row_of_check() -> None:
    node = Runtime("Node.js", "it exports something")
    row = seeds_row(node, "glibc", None)
    assert row is not None and row.status == "ok"
    assert "Math.random()" in row.found and "--seeds=own" in row.todo
    assert seeds_row(Runtime("Go", ""), None, None) is None
    for runtime, status in ((node, "warn"), (None, "ok")):
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
