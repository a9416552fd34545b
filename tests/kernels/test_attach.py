"""ksmrun-attach on real kernels: the flag, or before 6.4 marks, and calls that go on waiting."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ksmrun.facts.launcher import LAUNCHER

from .initrd import pack
from .kernels import CLOUD_AMD64
from .matrix import ALL, boot

PROGRAM = Path(__file__).parents[1] / "integration/programs/blocked.c"
CALLS = ("nanosleep", "epoll_wait", "futex", "read", "sigsuspend", "semop")
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
ip link set lo up
echo
sleep 1000 &
echo "on=$(/libexec/ksmrun-attach on $!)"
echo "mark=$(/libexec/ksmrun-attach mark $!)"
echo "marked=$(grep -c ' mg' /proc/$!/smaps)"
/libexec/ksmrun-attach unmark $! >/dev/null
echo "off=$(/libexec/ksmrun-attach off $!)"
echo "unmarked=$(grep -c ' mg' /proc/$!/smaps)"
/libexec/ksmrun-exec --quiet --inject -- sleep 1000 &
sleep 1
echo "injected=$(grep -c ' mg' /proc/$!/smaps)"
for call in {calls}; do
    /bin/blocked $call 2000 >/said &
    i=0
    while [ $i -lt 20 ]; do
        /libexec/ksmrun-attach mark $! >/dev/null
        i=$((i + 1))
    done
    wait $!
    echo "$call=$(tail -n 1 /said)"
done
echo "end="
poweroff -f
"""
# The oldest, the one without the flag that is in use, and a new one; the rest in the long run.
FEW = ("5.10", "6.1", "6.12")
VERSIONS = sorted({version for version, flavour in ALL if flavour == CLOUD_AMD64})
if os.environ.get("KSMRUN_KERNELS") != "all":
    VERSIONS = [version for version in VERSIONS if version in FEW]


@pytest.fixture(scope="module")
def initrd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("attach")
    root = folder / "root"
    for name in ("bin", "dev", "proc", "sys"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin")
    shutil.copytree(LAUNCHER.parent, root / "libexec")
    command = ["gcc", "-w", "-static", "-pthread", str(PROGRAM), "-o", str(root / "bin/blocked")]
    subprocess.run(command, check=True)
    (root / "init").write_text(INIT.replace("{calls}", " ".join(CALLS)))
    (root / "init").chmod(0o755)
    return pack(root, folder / "initrd")


@pytest.mark.parametrize("version", VERSIONS)
def test_attach(initrd: Path, version: str) -> None:
    values = boot((version, CLOUD_AMD64), initrd).values
    has_flag = tuple(map(int, version.split("."))) >= (6, 4)
    # EINVAL: the kernel does not know it.
    _, outcome, error, *_ = values["on"].split()
    assert (outcome, error) == (("done", "0") if has_flag else ("refused", "22"))
    assert values["mark"].split()[1] == "done"
    assert int(values["marked"]) > 0
    assert int(values["unmarked"]) == 0
    # The kernel's that lose the flag at exec too.
    assert (int(values["injected"]) > 0) == has_flag
    expected = {"nanosleep": "0", "epoll_wait": "1", "futex": "0", "read": "1", "semop": "0"}
    for call in CALLS:
        answer = "-1 EINTR" if call == "sigsuspend" else f"{expected[call]} -"
        assert values[call] == f"{answer} in time", call
