"""Decide which running processes may be made to merge, and explain results. Pure."""

from __future__ import annotations

from ksmrun.model.attach import Candidate, Deed
from ksmrun.model.launch import MAP_RESERVE
from ksmrun.plan.guard import allowed_maps, fitting_limit

# MADV_UNMERGEABLE clears VM_MERGEABLE and leaves no other trace (mm/ksm.c: ksm_madvise), so smaps
# shows the same for such memory as for memory that was never marked (fs/proc/task_mmu.c:
# show_smap_vma_flags has only "mg"); and the flag marks all of it (mm/ksm.c: ksm_add_vmas).
UNMERGEABLE_NOTE = (
    "What they made MADV_UNMERGEABLE before merges too, as the kernel does not tell it from other "
    "memory; for programs that keep secrets so: `sudo ksmrun detach PID`, and start them with "
    "`ksmrun run`"
)
OUTCOMES = {
    "gone": ("it ended meanwhile", "if it was restarted, attach to the new PID"),
    "not-permitted": (
        "this user may not trace it",
        "run this as root or as its user, see kernel.yama.ptrace_scope, and detach any debugger",
    ),
    "no-stop": (
        "it is in uninterruptible sleep and could not be stopped",
        "try again; if its freezer cgroup (version 1) is frozen, thaw it first",
    ),
    "stopped": ("it is stopped (SIGSTOP)", "continue it with kill -CONT"),
    "frozen": (
        "its cgroup is frozen",
        "thaw it with podman unpause, systemctl thaw, or by writing 0 to its cgroup.freeze",
    ),
    "shared": ("it uses its parent's memory until it execs (vfork)", "try again"),
    "other-bits": ("it is a 32-bit program", "restart it with `ksmrun run`"),
    "dispatched": (
        "it intercepts its own system calls (PR_SET_SYSCALL_USER_DISPATCH)",
        "restart it with `ksmrun run`",
    ),
    "filtered": (
        "its seccomp filter denies the system call, or this user cannot read the filter",
        "run this as root, or restart it with `ksmrun run`, a service with `sudo ksmrun wrap unit`",
    ),
    "no-instruction": (
        "no system call instruction was found in it",
        "restart it with `ksmrun run`",
    ),
    "late": (
        "it did not finish in time, and was put back as it was",
        "check that it gets CPU time (cpu.max), and try again",
    ),
    "pending": (
        "the system call in it has not returned; a ksmrun-attach process waits for it",
        "see what blocks it in /proc/PID/stack, and do not kill that ksmrun-attach",
    ),
    "unreadable": (
        "its memory could not be read within a second",
        "see what blocks it in /proc/PID/stack",
    ),
    "lost": (
        "the flag did not change",
        "check that the program still works, and report this as a bug",
    ),
}


def deed(*, merges: bool, has_flag: bool) -> Deed:
    """Return the change to make. has_flag: whether this kernel has PR_SET_MEMORY_MERGE (6.4)."""
    if has_flag:
        return Deed.ON if merges else Deed.OFF
    return Deed.MARK if merges else Deed.UNMARK


def deed_to(found: Candidate, wanted: Deed) -> Deed | None:
    """Return the change that this process needs; None if it is as wanted already.

    Clearing the flag leaves what a program without it marked itself, as QEMU does by madvise(2).
    """
    if found.merges is not wanted.merges:
        return wanted
    return Deed.UNMARK if wanted is Deed.OFF and found.marks else None


def refusal(found: Candidate, max_map_count: int | None, wanted: Deed) -> tuple[str, str] | None:
    """Return why the process is left alone, and what to do; None if it may be tried."""
    if found.is_kernel_thread:
        return "it is a kernel thread, and has no memory of its own", "give another PID"
    if found.state in ("Z", "X"):
        return "it has ended", "give another PID"
    if found.tracer:
        return (
            f"PID {found.tracer} traces it",
            "detach that debugger (gdb, strace) first",
        )
    if found.state in ("T", "t"):
        return OUTCOMES["stopped"]
    if found.state == "D":
        return OUTCOMES["no-stop"]
    maps = found.maps
    if not wanted.merges or maps is None or max_map_count is None:
        return None
    if maps <= allowed_maps(max_map_count, MAP_RESERVE):
        return None
    return (
        f"it has {maps} of at most {max_map_count} mappings, too near the limit",
        f"raise it first: sudo ksmrun host max-map-count {fitting_limit(maps, MAP_RESERVE)}",
    )


def who(found: Candidate) -> str:
    """Return the argument of ksmrun-attach: PID and start time, because PIDs are reused."""
    return f"{found.identity.pid}:{found.identity.start_ticks}"


def outcome(name: str, error: int) -> tuple[str, str]:
    """Return what a result of ksmrun-attach means, and what to do."""
    if name == "refused":
        return f"the kernel refused the system call (errno {error})", "see `ksmrun check`"
    return OUTCOMES.get(
        name,
        (f"ksmrun-attach reports {name!r}, which is not known", "install ksmrun again"),
    )
