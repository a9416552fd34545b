"""The Linux Test Project's tests of system calls, built from a source that KSMRUN_LTP names."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

# Where the shim, the layout or the helper could be in the way, by folders of
# testcases/kernel/syscalls.
SHORT = ("brk", "nice", "seccomp", "setpriority", "sigprocmask", "vfork")
LONG = (
    *("clone", "epoll_wait", "fork", "getrlimit", "kill", "mprotect", "pipe", "prctl", "ptrace"),
    *("rt_sigaction", "wait"),
    *("alarm", "arch_prctl", "capget", "capset", "clone3", "close_range", "epoll_create"),
    *("epoll_create1", "epoll_ctl", "epoll_pwait", "execl", "execle", "execlp", "execv", "execve"),
    *("execveat", "execvp", "exit", "exit_group", "fcntl", "flock", "futex", "get_robust_list"),
    *("getpid", "getppid", "getpriority", "getrusage", "gettid", "ioprio", "kcmp", "madvise"),
    *("membarrier", "memfd_create", "mincore", "mlock", "mlock2", "mlockall", "mmap", "mremap"),
    *("mseal", "msync", "munlock", "munlockall", "munmap", "pause", "personality", "pidfd_getfd"),
    *("pidfd_open", "pidfd_send_signal", "pipe2", "pkeys", "poll", "ppoll", "process_madvise"),
    *("pselect", "remap_file_pages", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigsuspend"),
    *("rt_sigtimedwait", "rt_tgsigqueueinfo", "sbrk", "sched_getaffinity", "sched_getattr"),
    *("sched_getparam", "sched_getscheduler", "sched_rr_get_interval", "sched_setaffinity"),
    *("sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield", "select", "semop"),
    *("set_robust_list", "set_tid_address", "setgid", "setgroups", "setitimer", "setns", "setpgid"),
    *("setresuid", "setreuid", "setrlimit", "setsid", "setuid", "shmat", "shmctl", "shmdt"),
    *("shmget", "sigaction", "sigaltstack", "sighold", "signal", "signalfd", "signalfd4"),
    *("sigpending", "sigrelse", "sigsuspend", "sigtimedwait", "sigwait", "sigwaitinfo", "tgkill"),
    *("timer_create", "timer_delete", "timer_settime", "timerfd", "times", "tkill", "ulimit"),
    *("umask", "unshare", "userfaultfd", "wait4", "waitid", "waitpid"),
)
FOLDERS = (*SHORT, *LONG)
CONFIGURE = ["./configure", "--quiet", "--without-tirpc", "--without-numa"]
SYSCALLS = "testcases/kernel/syscalls"
# Helpers of tests, which say nothing of their own.
HELPERS = ("_child", "_helper")


def source() -> Path | None:
    """Return the tree that is to be built; None if nobody named one."""
    name = os.environ.get("KSMRUN_LTP")
    return None if name is None else Path(name)


def built(cache: Path) -> Path | None:
    """Return the folder of the built tests: of the source that is named, else the newest kept."""
    tree = source()
    if tree is None:
        kept = sorted(cache.glob("ltp-*/programs.txt"), key=lambda file: file.stat().st_mtime)
        return kept[-1].parent if kept else None
    text = (tree / "VERSION").read_bytes() + (tree / "runtest/syscalls").read_bytes()
    done = cache / f"ltp-{hashlib.sha256(text + ' '.join(FOLDERS).encode()).hexdigest()[:16]}"
    if not (done / "programs.txt").exists():
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            made = _make(tree, Path(folder))
            made.replace(done)
    return done


def _make(tree: Path, folder: Path) -> Path:
    copy, stage = folder / "source", folder / "stage"
    shutil.copytree(tree, copy, symlinks=True)
    for command in (["make", "-s", "autotools"], CONFIGURE, ["make", "-s", "-C", "lib"]):
        _run(command, copy)
    for library in sorted((copy / "libs").glob("*/Makefile")):
        _run(["make", "-s", "-k", "-C", str(library.parent)], copy, may_fail=True)
    lines = []
    for name in FOLDERS:
        place = copy / SYSCALLS / name
        if place.exists():
            # What this compiler or these headers do not suit is left out.
            install = ["make", "-s", "-k", "-j2", "-C", str(place), "install", f"DESTDIR={stage}"]
            _run(install, copy, may_fail=True)
            lines += [f"{name} {program}\n" for program in _programs(place)]
    (stage / "opt/ltp/programs.txt").write_text("".join(lines))
    return stage / "opt/ltp"


def _programs(place: Path) -> list[str]:
    files = [file for file in place.rglob("*") if file.is_file() and os.access(file, os.X_OK)]
    return sorted(
        file.name
        for file in files
        if file.with_name(f"{file.name}.c").exists() and not file.name.endswith(HELPERS)
    )


def _run(command: list[str], folder: Path, *, may_fail: bool = False) -> None:
    subprocess.run(command, cwd=folder, check=not may_fail, capture_output=True)


def programs(place: Path, folder: str) -> list[str]:
    """Return the test programs of one folder."""
    lines = [line.split() for line in (place / "programs.txt").read_text().splitlines()]
    return [program for name, program in lines if name == folder]
