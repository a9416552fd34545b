"""ksmrun-attach on real kernels: the flag, or before 6.4 marks, and calls that go on waiting."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from ksmrun.facts.launcher import LAUNCHER

from .initrd import arm64_parts, pack
from .kernels import ARM64_16K, CLOUD_AMD64
from .matrix import ALL, PATCHED, boot

PROGRAM = Path(__file__).parents[1] / "integration/programs/blocked.c"
CALLS = ("nanosleep", "epoll_wait", "futex", "read", "sigsuspend", "semop")
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
ip link set lo up
marks() { grep -c ' mg' /proc/$!/smaps; }
# A kernel that has the flag; emulated, the helper may need long.
awaited() {
    sleep 1
    i=0
    while [ "${on#* done }" != "$on" ] && [ "$(marks)" = 0 ] && [ $i -lt 60 ]; do
        sleep 1
        i=$((i + 1))
    done
}
echo
sleep 1000 &
on=$(/libexec/ksmrun-attach on $!)
echo "on=$on"
echo "mark=$(/libexec/ksmrun-attach mark $!)"
echo "marked=$(marks)"
/libexec/ksmrun-attach unmark $! >/dev/null
echo "off=$(/libexec/ksmrun-attach off $!)"
echo "unmarked=$(marks)"
/libexec/ksmrun-exec --quiet --inject -- sleep 1000 &
awaited
echo "injected=$(marks)"
# Yama lets a user trace only what comes from him, or names who may.
echo 1 >/proc/sys/kernel/yama/ptrace_scope
echo "yama=$(cat /proc/sys/kernel/yama/ptrace_scope)"
su nobody -c "exec /libexec/ksmrun-exec --quiet --inject -- sleep 1000" &
awaited
echo "named=$(marks)"
echo "stranger=$(su nobody -c "/libexec/ksmrun-attach off $!")"
echo 0 >/proc/sys/kernel/yama/ptrace_scope
times=4
! grep -q ksmrun.all /proc/cmdline || times=10
for call in {calls}; do
    /bin/blocked $call 2000 >/said &
    i=0
    while [ $i -lt $times ]; do
        /libexec/ksmrun-attach mark $! >/dev/null
        /libexec/ksmrun-attach unmark $! >/dev/null
        i=$((i + 1))
    done
    wait $!
    echo "$call=$(tail -n 1 /said)"
done
echo "end="
reboot -f
"""
# The oldest, the one without the flag that is in use, and a new one; the rest in the long run.
FEW = ("5.10", "6.1", "6.12")
KERNELS = [kernel for kernel in ALL if kernel[1] in (CLOUD_AMD64, PATCHED, ARM64_16K)]
if os.environ.get("KSMRUN_KERNELS") != "all":
    KERNELS = [(version, CLOUD_AMD64) for version in FEW] + [("6.12", ARM64_16K)]


# signal(7): these fail with EINTR after any stop, and on aarch64 others cannot see what is needed
# to restart them (the first argument is no longer in the registers).
FAIL_AFTER_STOPS = ("epoll_wait", "semop")


@pytest.fixture(scope="module")
def initrd(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @cache
    def made(flavour: str) -> Path:
        folder = tmp_path_factory.mktemp("attach")
        if flavour != ARM64_16K:
            return _initrd(folder, Path("/bin/busybox"), LAUNCHER.parent, "gcc")
        busybox, build = arm64_parts(folder)
        return _initrd(folder, busybox, build, "aarch64-linux-gnu-gcc")

    return made


def _initrd(folder: Path, busybox: Path, libexec: Path, compiler: str) -> Path:
    root = folder / "root"
    for name in ("bin", "dev", "proc", "sys", "libexec"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin")
    for name in ("ksmrun-exec", "ksmrun-attach"):
        shutil.copy(libexec / name, root / "libexec")
    command = [compiler, "-w", "-static", "-pthread", str(PROGRAM), "-o", str(root / "bin/blocked")]
    subprocess.run(command, check=True)
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text("nobody:x:65534:65534::/:/bin/sh\n")
    (root / "init").write_text(INIT.replace("{calls}", " ".join(CALLS)))
    (root / "init").chmod(0o755)
    return pack(root, folder / "initrd")


@pytest.mark.parametrize(("version", "flavour"), KERNELS)
def test_attach(initrd: Callable[[str], Path], version: str, flavour: str) -> None:
    values = boot((version, flavour), initrd(flavour)).values
    has_flag = tuple(map(int, version.split("."))) >= (6, 4)
    # EINVAL: the kernel does not know it.
    _, outcome, error, *_ = values["on"].split()
    assert (outcome, error) == (("done", "0") if has_flag else ("refused", "22"))
    assert values["mark"].split()[1] == "done"
    assert int(values["marked"]) > 0
    assert int(values["unmarked"]) == 0
    # By kernels that lose the flag at exec too.
    assert (int(values["injected"]) > 0) == has_flag
    assert (int(values["named"]) > 0) == has_flag
    if values["yama"] == "1":
        assert values["stranger"].split()[1] == "not-permitted"
    expected = {"nanosleep": "0", "epoll_wait": "1", "futex": "0", "read": "1", "semop": "0"}
    # The kernels built here have no TCP, with which the program begins.
    for call in CALLS if flavour != PATCHED else ():
        said = values[call].split()
        fails = call == "sigsuspend" or (flavour != CLOUD_AMD64 and call in FAIL_AFTER_STOPS)
        right = [["-1", "EINTR"] if fails else [expected[call], "-"]]
        # futex(2): restarted after a stop, it reports if the word has changed meanwhile.
        right += [["-1", "EAGAIN"]] if call == "futex" else []
        assert said[:2] in right, (call, said)
        # Timeouts start again there. An emulated machine may be late by itself.
        if flavour == CLOUD_AMD64:
            assert said[2:] in (["in", "time"], ["late"]), call
