"""Many processes one after the other from one wrapped process: none lost, nothing left."""

from __future__ import annotations

import subprocess

import pytest
from volume import volume

from .compare import HERE, Bench

CHURN = {
    "fork": volume(10_000),
    "thread": volume(3_000),
    "vfork": volume(1_000),
    "spawn": volume(1_000),
}
LAUNCHES = volume(1_000)


@pytest.mark.parametrize("way", CHURN)
def test_churn(bench: Bench, prefix: list[str], way: str) -> None:
    program = bench.folder / "churn"
    subprocess.run(["gcc", "-O1", "-pthread", "-o", program, HERE / "churn.c"], check=True)
    command = ["/mnt/programs/churn", way, str(CHURN[way])]
    direct = bench.alike(prefix, command)
    good = f"{CHURN[way]} good, 0 threads more, 0 descriptors more, no child left\n"
    assert (direct.stdout, direct.stderr) == (good, "")


def test_launches(bench: Bench, prefix: list[str]) -> None:
    """Wrapped launches; each reads its input and ends with its own exit code."""
    loop = (
        f"i=0; while [ $i -lt {LAUNCHES} ]; do "
        '"$@" sh -c "exit $((i % 7))"; echo $?; i=$((i + 1)); done'
    )
    done = bench.run(["sh", "-c", loop, "loop", *prefix])
    assert done.stdout.split() == [str(number % 7) for number in range(LAUNCHES)]
    assert (done.code, done.stderr, done.processes, done.ipc) == (0, "", (), 0)
    assert set(done.files) <= {"/run/mount"}, "made by mount, which furnishes the box"
