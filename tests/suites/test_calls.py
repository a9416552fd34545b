"""System calls answer as they do directly, right ones and wrong ones."""

from __future__ import annotations

import pytest
from compiled import compile_to

from .compare import HERE, Bench
from .ways import WAYS, launch

AREAS = (
    *("signals", "processes", "memory", "prctl", "ptrace", "seccomp", "priority", "locks"),
    *("futex", "pipes", "polling", "clone", "limits"),
)
EACH = """
while [ "$1" != -- ]; do areas="$areas $1"; shift; done
shift
for area in $areas; do
    echo "== $area"
    "$@" /mnt/programs/calls $area
    echo "code $?"
done
"""


@pytest.mark.parametrize("way", WAYS)
def test_calls(bench: Bench, way: str) -> None:
    program = bench.folder / "calls"
    if not program.exists():
        compile_to(program, ["gcc", "-O1", f"-I{HERE}", *sorted(HERE.glob("calls*.c"))])
    direct, wrapped = (
        bench.run(["sh", "-c", EACH, "sh", *AREAS, "--", *prefix])
        for prefix in ([], launch(bench, way))
    )
    assert direct.stdout.count("\nend\ncode 0\n") == len(AREAS), direct
    assert not direct.differences(wrapped), "\n".join(direct.differences(wrapped))
