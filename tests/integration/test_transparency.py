"""A program sees through ksmrun what it sees without: only the merge flag differs.

Each test starts the helper `see` directly and wrapped, from the same state, and compares.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import pty
import resource
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import termios
from pathlib import Path
from typing import Any

import pytest

from .conftest import See

LIBC = ctypes.CDLL(None, use_errno=True)
ADDR_NO_RANDOMIZE, PR_SET_PDEATHSIG, PR_SET_TIMERSLACK = 0x0040000, 1, 29

# Differs from one start to the next without us too, or is compared separately.
APART = {"pid", "argv", "cmdline", "status", "stat", "merge"}
STATUS_FIELDS = {
    *("Umask", "State", "Groups", "ShdPnd", "SigPnd", "SigBlk", "SigIgn", "SigCgt"),
    *("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters"),
    *("Cpus_allowed", "Mems_allowed", "CoreDumping", "THP_enabled", "Threads"),
    *("Speculation_Store_Bypass", "SpeculationIndirectBranch"),
}
# proc(5): tty_nr, tpgid, priority, nice, exit_signal, rt_priority, policy.
STAT_FIELDS = (7, 8, 18, 19, 38, 40, 41)


def comparable(seen: dict[str, Any]) -> dict[str, Any]:
    """Return what must be equal."""
    status = dict(
        line.split(":", 1) for line in bytes.fromhex(seen["status"]).decode().splitlines()
    )
    stat = bytes.fromhex(seen["stat"]).decode().rsplit(") ", 1)[1].split()
    result = {name: value for name, value in seen.items() if name not in APART}
    result["argv"] = [seen["argv"][0], *seen["argv"][2:]]
    result["status"] = {f: status[f].strip() for f in STATUS_FIELDS if f in status}
    result["stat"] = [stat[field - 3] for field in STAT_FIELDS]
    return result


def assert_same(
    see: See,
    way: tuple[str, ...],
    options: tuple[str, ...] = (),
    *,
    prefix: tuple[str, ...] = (),
    but: tuple[str, ...] = (),
    **start: Any,
) -> None:
    direct = comparable(see(prefix, **start))
    wrapped = comparable(see([*prefix, *way, *options, "--"], **start))
    for name in but:
        del direct[name], wrapped[name]
    assert wrapped == direct


def test_plain(see: See, way: tuple[str, ...]) -> None:
    assert_same(see, way)


def test_the_merge_flag_is_what_differs(see: See, way: tuple[str, ...]) -> None:
    assert see()["merge"] == 0
    assert see(way)["merge"] == 1
    assert see([*way, "--merge=off"])["merge"] == 0
    assert see([*way, "--merge=keep"])["merge"] == 0
    # Nested: off clears what was inherited, keep keeps it.
    assert see([*way, "--", *way, "--merge=off"])["merge"] == 0
    assert see([*way, "--", *way, "--merge=keep"])["merge"] == 1


def test_thp(see: See, way: tuple[str, ...]) -> None:
    assert see([*way, "--thp=off"])["thp_disable"] == 1
    assert see(way)["thp_disable"] == 0


def everything_changed() -> None:
    """Change every inheritable attribute, in the child before it executes the program."""
    os.umask(0o027)
    os.setsid()
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGRTMIN + 3):
        signal.signal(number, signal.SIG_IGN)
    blocked = {signal.SIGUSR1, signal.SIGCHLD, signal.SIGTERM, signal.SIGRTMIN + 5}
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    os.kill(os.getpid(), signal.SIGUSR1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, 600))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_STACK, (4 << 20, resource.RLIM_INFINITY))
    os.nice(3)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    os.sched_setaffinity(0, {0})
    signal.setitimer(signal.ITIMER_REAL, 1000, 7)
    signal.setitimer(signal.ITIMER_VIRTUAL, 1000, 8)
    LIBC.personality(ADDR_NO_RANDOMIZE)
    LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGWINCH), 0, 0, 0)
    LIBC.prctl(PR_SET_TIMERSLACK, 123456, 0, 0, 0)
    os.dup2(os.open("/etc/hostname", os.O_RDONLY), 9, inheritable=True)
    os.dup2(os.open("/dev/null", os.O_WRONLY | os.O_APPEND), 200, inheritable=True)
    Path("/proc/self/oom_score_adj").write_text("321")
    Path("/proc/self/coredump_filter").write_text("0x7")


def test_with_everything_changed(see: See, way: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / "cwd"
    folder.mkdir()
    assert_same(see, way, but=("sid", "pgid"), cwd=folder, preexec_fn=everything_changed)


@pytest.mark.parametrize(
    "ignored", [(), ("SIGPIPE",), ("SIGXFSZ",), ("SIGPIPE", "SIGXFSZ", "SIGINT")]
)
def test_signals_that_python_touches(
    see: See, way: tuple[str, ...], ignored: tuple[str, ...]
) -> None:
    """systemd starts services with SIGPIPE ignored, a shell does not: both must arrive."""

    def prepare() -> None:
        for name in ("SIGPIPE", "SIGXFSZ", "SIGINT"):
            handler = signal.SIG_IGN if name in ignored else signal.SIG_DFL
            signal.signal(getattr(signal, name), handler)

    assert_same(see, way, preexec_fn=prepare)


def test_no_new_privs(see: See, way: tuple[str, ...]) -> None:
    assert_same(see, way, prefix=("setpriv", "--no-new-privs"))


def test_unprivileged(
    see: See, way: tuple[str, ...], nobody: tuple[str, ...], tmp_path: Path
) -> None:
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    # The first launch of a boot probes the kernel, in children; see below.
    assert see([*nobody, *way], env=environment)["merge"] == 1
    assert_same(see, way, prefix=nobody, env=environment)


def test_controlling_terminal(see: See, way: tuple[str, ...]) -> None:
    def seen_on_a_terminal(prefix: tuple[str, ...]) -> dict[str, Any]:
        controller, terminal = pty.openpty()

        def prepare() -> None:
            os.setsid()
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
            os.tcsetpgrp(terminal, os.getpgrp())

        try:
            seen = see(prefix, stdin=terminal, stdout=terminal, preexec_fn=prepare)
        finally:
            os.close(terminal)
            os.close(controller)
        result = comparable(seen)
        # Each session and terminal has its own number: the target of stdin, and the process's.
        assert seen["sid"] == seen["pgid"] == seen["pid"]
        assert result["stat"][0] != "0"
        for changing in ("sid", "pgid", "descriptors", "stat"):
            del result[changing]
        return result

    assert seen_on_a_terminal(way) == seen_on_a_terminal(())


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_stdio(see: See, way: tuple[str, ...], closed: tuple[int, ...]) -> None:
    def prepare() -> None:
        for number in closed:
            os.close(number)

    start: dict[str, Any] = {"preexec_fn": prepare, "stdin": subprocess.DEVNULL}
    assert_same(see, way, **start)
    assert_same(see, way, ("--verify",), but=("children_faults",), **start)


def test_verify_leaves_nothing(see: See, way: tuple[str, ...]) -> None:
    """The observer's parent is reaped, so the program has no child; its page faults remain."""
    assert see([*way, "--verify", "--"])["children"] == ""
    assert_same(see, way, ("--verify",), but=("children_faults",))


def test_argv0(see: See, launcher: str) -> None:
    for name in ("", "other name", "-sh"):
        seen = see([launcher, f"--argv0={name}", "--"])
        assert bytes.fromhex(seen["argv"][0]).decode() == name
        assert seen["environment"] == see()["environment"]


def test_empty_argv0_of_the_launcher(launcher: str, programs: Any, tmp_path: Path) -> None:
    output = tmp_path / "seen"
    command = ["", "--", programs.see, str(output)]
    subprocess.run(command, executable=launcher, check=True, stderr=subprocess.DEVNULL)
    assert json.loads(output.read_text())["merge"] == 1


def test_preload_is_all_that_is_added(see: See, launcher: str) -> None:
    environment = {"A": "1", "LD_PRELOAD": "libm.so.6", "B": "2"}
    seen = see([launcher, "--preload=libdl.so.2", "--"], env=environment)
    entries = [bytes.fromhex(entry).decode() for entry in seen["environment"]]
    assert entries == ["A=1", "LD_PRELOAD=libm.so.6:libdl.so.2", "B=2"]


def test_setuid_target(
    see: See, way: tuple[str, ...], programs: Any, nobody: tuple[str, ...], tmp_path: Path
) -> None:
    """The flag stays over a setuid exec."""
    target = tmp_path / "setuid-see"
    shutil.copy(programs.see, target)
    os.chown(target, 65533, 65533)
    target.chmod(0o4755)
    direct = see(nobody, program=str(target))
    wrapped = see([*nobody, *way, "--"], program=str(target))
    assert (direct["uid"], direct["euid"], direct["secure"]) == (65534, 65533, 1)
    # Without a place for the cache the kernel is probed each time, in children.
    del direct["children_faults"], wrapped["children_faults"]
    assert comparable(wrapped) == comparable(direct)
    assert wrapped["merge"] == 1


def test_missing_cwd(see: See, way: tuple[str, ...], tmp_path: Path) -> None:
    def prepare() -> None:
        os.chdir(tmp_path)
        folder = tempfile.mkdtemp(dir=tmp_path)
        os.chdir(folder)
        Path(folder).rmdir()

    direct, wrapped = see(preexec_fn=prepare), see(way, preexec_fn=prepare)
    assert bytes.fromhex(direct["cwd"]) == bytes.fromhex(wrapped["cwd"]) == b"errno 2"


def test_where_python_fails(see: See, ksmrun: str) -> None:
    """It changes signals and, in the C locale, the environment, before it fails."""
    gone = f"mount -t tmpfs none {sysconfig.get_path('purelib')}"
    prefix = ("unshare", "--mount", "sh", "-c", f'{gone}; exec "$@"', "sh")
    for environment in ({"LANG": "C"}, {"LANG": "C", "LC_CTYPE": "C.UTF-8"}):
        start: dict[str, Any] = {"env": environment | {"PATH": os.environ["PATH"]}}
        # The children are those of the prefix.
        assert_same(see, (ksmrun, "run"), prefix=prefix, but=("children_faults",), **start)


def test_first_launch_of_a_boot(
    see: See, ksmrun: str, nobody: tuple[str, ...], tmp_path: Path
) -> None:
    """Without the cached probe ksmrun probes the kernel in children, which must leave no SIGCHLD.

    Their page faults are counted in the program's RUSAGE_CHILDREN, this once.
    """
    environment = {"XDG_RUNTIME_DIR": str(tmp_path), "PATH": os.environ["PATH"]}

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGCHLD})

    start: dict[str, Any] = {"env": environment, "preexec_fn": prepare}
    assert_same(see, (ksmrun, "run"), prefix=nobody, but=("children_faults",), **start)
    assert list(tmp_path.glob("ksmrun/probe-*.json"))
