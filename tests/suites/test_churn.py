"""Many processes one after the other from one wrapped process: none lost, nothing left."""

from __future__ import annotations

import subprocess

import pytest

from .compare import HERE, Bench

# 10,000 forks, and 1,000 short programs of each kind of start.
CHURN = {"fork": 10_000, "thread": 300, "vfork": 1_000, "spawn": 1_000}


@pytest.mark.parametrize("way", CHURN)
def test_churn(bench: Bench, prefix: list[str], way: str) -> None:
    program = bench.folder / "churn"
    subprocess.run(["gcc", "-O1", "-pthread", "-o", program, HERE / "churn.c"], check=True)
    command = ["/mnt/programs/churn", way, str(CHURN[way])]
    direct = bench.alike(prefix, command)
    good = f"{CHURN[way]} good, 0 threads more, 0 descriptors more, no child left\n"
    assert (direct.stdout, direct.stderr) == (good, "")


def test_launches(bench: Bench, prefix: list[str]) -> None:
    """1,000 wrapped starts; each reads what it was given and ends by its own code."""
    loop = (
        'i=0; while [ $i -lt 1000 ]; do "$@" sh -c "exit $((i % 7))"; echo $?; i=$((i + 1)); done'
    )
    done = bench.run(["sh", "-c", loop, "loop", *prefix])
    assert done.stdout.split() == [str(number % 7) for number in range(1000)]
    assert (done.code, done.stderr, done.processes, done.ipc) == (0, "", (), 0)
    assert set(done.files) <= {"/run/mount"}, "made by mount, which furnishes the box"
