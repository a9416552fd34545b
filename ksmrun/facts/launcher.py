"""Location of ksmrun-exec, and what its --probe found on this kernel, cached until a reboot."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ksmrun.facts.text import parse_fields, read_text
from ksmrun.model.errors import EXIT_OWN_FAILURE, KsmrunError
from ksmrun.model.launch import Probe
from ksmrun.model.package import package_file
from ksmrun.support.advice import helper_todo
from ksmrun.support.folders import make_folder
from ksmrun.support.foreign import drain, open_regular
from ksmrun.support.safefile import replace_file
from ksmrun.support.state import distrust

LAUNCHER = package_file("libexec/ksmrun-exec")
# See native/shim/as-libasan.so.
SHIM = "shim/$PLATFORM/as-libasan.so/../libksmrun-preload.so"
# It takes milliseconds, half a second more if ksmd runs, and longer on a loaded machine.
PROBE_TIMEOUT_SECONDS = 30.0
# A boot ID, which is a UUID, and the dash before it.
BOOT_ID_LENGTH = 1 + 36
PROBE_BYTES_MAX = 1 << 16


def launcher_path() -> Path:
    """Return the launcher that was installed with this package."""
    if not os.access(LAUNCHER, os.X_OK):
        error = errno.EACCES if LAUNCHER.exists() else errno.ENOENT
        raise KsmrunError(
            f"cannot start {LAUNCHER}: {os.strerror(error)}",
            helper_todo(error, LAUNCHER),
            EXIT_OWN_FAILURE,
        )
    return LAUNCHER


def shim_path(folder: Path = LAUNCHER.parent) -> bytes | None:
    """Return the shim for LD_PRELOAD; None if ld.so would split its path (ld.so(8)).

    ld.so expands $PLATFORM to different folders for 32 and 64-bit programs; musl takes the folder
    of that name. SHIM is reached through a folder whose name AddressSanitizer recognises, because
    the wrapped program may start one that is built with it. folder: where the launcher is.
    """
    if any(mark in str(folder) for mark in " :"):
        return None
    return os.fsencode(folder / SHIM)


def run_probe() -> Probe:
    """Run the launcher's probe of the kernel. Raises KsmrunError if that fails."""
    return parse_probe(_run_probe_text(launcher_path()))


def cached_probe() -> Probe:
    """Return the probe's result of this boot and these seccomp filters, or run the probe."""
    launcher = launcher_path()
    cache = _cache_file(launcher)
    if cache is not None and (text := _read_trusted(cache)) is not None:
        with contextlib.suppress(KsmrunError):
            return parse_probe(text)
    text = _run_probe_text(launcher)
    probe = parse_probe(text)
    if cache is not None and holds_until_boot(probe):
        write_cache(cache, text)
    return probe


def holds_until_boot(probe: Probe) -> bool:
    """Return whether the result describes the kernel, and not a filter or a temporary shortage."""
    if None in (probe.mmap_vmas, probe.brk_vmas, probe.ptrace_allowed, probe.set_mm_map_allowed):
        return False
    if probe.prctl_supported:
        return probe.kept_over_exec is not None
    return probe.prctl_obstacle in ("kernel-too-old", "no-config-ksm")


def parse_probe(text: str) -> Probe:
    """Parse the JSON of `ksmrun-exec --probe`. Raises KsmrunError for anything else."""
    try:
        found: dict[str, Any] = json.loads(text)
        return Probe(
            kernel=found["kernel"],
            machine=found["machine"],
            prctl_supported=found["prctl_supported"],
            prctl_obstacle=found["prctl_obstacle"],
            prctl_obstacle_what=found.get("prctl_obstacle_what"),
            prctl_obstacle_todo=found.get("prctl_obstacle_todo"),
            kept_over_fork=found["kept_over_fork"],
            kept_over_exec=found["kept_over_exec"],
            scanned_after_exec=found["scanned_after_exec"],
            known_not_scanned=found["known_not_scanned"],
            vma_steps=found["vma_steps"],
            mmap_vmas=found["mmap_vmas"],
            brk_vmas=found["brk_vmas"],
            ksm_stat_fields=tuple(found["ksm_stat_fields"]),
            ptrace_allowed=found["ptrace_allowed"],
            set_mm_map_allowed=found["set_mm_map_allowed"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise KsmrunError(
            f"cannot read the output of ksmrun-exec --probe ({error})",
            "install ksmrun again, so that both have the same version",
            EXIT_OWN_FAILURE,
        ) from error


def _run_probe_text(launcher: Path) -> str:
    if _child_would_be_init():
        raise KsmrunError(
            "cannot probe the kernel: the probe would be PID 1 of the new PID namespace",
            "use `unshare --fork`",
            EXIT_OWN_FAILURE,
        )
    try:
        with _no_trace():
            done = subprocess.run(
                [launcher, "--probe"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PROBE_TIMEOUT_SECONDS,
                check=True,
            )
    except (OSError, subprocess.SubprocessError) as error:
        why, todo = str(error), f"run {launcher} --probe to see why"
        if isinstance(error, OSError):
            why, todo = str(error.strerror), helper_todo(error.errno or 0, launcher)
        raise KsmrunError(
            f"{launcher} --probe failed ({why})",
            todo,
        ) from error
    return done.stdout


@contextlib.contextmanager
def _no_trace() -> Iterator[None]:
    """Discard the SIGCHLD of a child started here: this process becomes the user's program.

    A program started with SIGCHLD blocked would otherwise find one pending. One that was pending
    before, or that belongs to an inherited child, stays.
    """
    was_pending = signal.SIGCHLD in signal.sigpending()
    try:
        yield
    finally:
        if signal.SIGCHLD in signal.sigpending() and not was_pending:
            signal.sigtimedwait({signal.SIGCHLD}, 0)
            with contextlib.suppress(ChildProcessError):
                if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                    signal.raise_signal(signal.SIGCHLD)


def _child_would_be_init() -> bool:
    """Return whether a child would be PID 1, as after `unshare --pid` without --fork.

    The end of PID 1 ends its namespace.
    """
    try:
        own = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return False
    try:
        return Path("/proc/self/ns/pid_for_children").readlink() != own
    except OSError:
        # A namespace that has no process yet.
        return True


def _cache_file(launcher: Path) -> Path | None:
    """Return the cache file, named by what affects the result: boot, launcher, seccomp filters."""
    found, folder = boot_and_filters(), cache_folder()
    if found is None or folder is None:
        return None
    return folder / f"probe-{'-'.join(found)}-{launcher.stat().st_mtime_ns:x}.json"


def boot_and_filters() -> tuple[str, str] | None:
    """Return this boot's ID, and the mode and number of this process's seccomp filters."""
    boot_id = (read_text(Path("/proc/sys/kernel/random/boot_id")) or "").strip()
    status = parse_fields(read_text(Path("/proc/self/status")) or "")
    if not boot_id or "Seccomp" not in status:
        return None
    return boot_id, f"{status['Seccomp']}-{status.get('Seccomp_filters', 'x')}"


def cache_folder() -> Path | None:
    """Return the folder of this user's caches; native/front/plan_cache.c looks there, too."""
    if os.geteuid() == 0:
        return Path("/run/ksmrun")
    for variable, below in (("XDG_RUNTIME_DIR", ""), ("XDG_CACHE_HOME", ""), ("HOME", ".cache")):
        base = os.environ.get(variable)
        if base and Path(base).is_absolute():
            # The others are not for a launch to make: their owner and mode matter to programs.
            is_there = variable == "XDG_CACHE_HOME" or Path(base).is_dir()
            return Path(base) / below / "ksmrun" if is_there else None
    return None


def _read_trusted(cache: Path) -> str | None:
    """Return the file's text, if only this user can have written it."""
    try:
        descriptor = open_regular(cache, follow=False)
        if distrust(descriptor):
            os.close(descriptor)
            return None
        return drain(descriptor, PROBE_BYTES_MAX).decode()
    except (OSError, UnicodeDecodeError):
        return None


def write_cache(cache: Path, text: str) -> None:
    """Write a file named KIND-BOOT-…, best effort, and remove those of other boots."""
    length = cache.name.index("-") + BOOT_ID_LENGTH
    with contextlib.suppress(OSError):
        make_folder(cache.parent, 0o755)
        replace_file(cache, text.encode(), 0o644)
        for old in cache.parent.glob(f"{cache.name.partition('-')[0]}-*"):
            if old.name[:length] != cache.name[:length]:
                old.unlink()
