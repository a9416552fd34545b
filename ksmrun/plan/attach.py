"""Decide which running processes may be made to merge, and explain results. Pure."""

from __future__ import annotations

from ksmrun.model.attach import Candidate, Deed

# Share of vm.max_map_count to keep free.
MAP_RESERVE = 0.2
# MADV_UNMERGEABLE clears VM_MERGEABLE and leaves no other trace (mm/ksm.c: ksm_madvise), so smaps
# shows the same for such memory as for memory that was never marked (fs/proc/task_mmu.c:
# show_smap_vma_flags has only "mg"); and the flag marks all of it (mm/ksm.c: ksm_add_vmas).
UNMERGEABLE_NOTE = (
    "What they made MADV_UNMERGEABLE before merges too, as the kernel does not tell it from other "
    "memory; for programs that keep secrets so: ksmrun detach, and start them with `ksmrun run`"
)
OUTCOMES = {
    "gone": ("it ended meanwhile", "look for the one that came for it"),
    "not-permitted": (
        "this user may not trace it",
        "be root or its user; kernel.yama.ptrace_scope and a debugger at work forbid it too",
    ),
    "no-stop": (
        "it sleeps uninterruptibly, and did not stop",
        "try again; thaw it first where its freezer cgroup (version 1) is frozen",
    ),
    "stopped": ("it is stopped (SIGSTOP)", "continue it: kill -CONT"),
    "frozen": (
        "its cgroup is frozen",
        "thaw it: podman unpause, systemctl thaw, or 0 in its cgroup.freeze",
    ),
    "shared": ("its memory is its parent's until it execs (vfork)", "try again"),
    "other-bits": ("it is a 32-bit program", "start it anew with `ksmrun run`"),
    "dispatched": (
        "it catches its own system calls (PR_SET_SYSCALL_USER_DISPATCH)",
        "start it anew with `ksmrun run`",
    ),
    "filtered": (
        "its seccomp filter does not let the call through, or is not shown to this user",
        "be root; or start it anew with `ksmrun run`, or its service with `ksmrun wrap unit`",
    ),
    "no-instruction": ("it has no code to make a system call with", "start it anew"),
    "late": (
        "it did not do it in time, or only a part, and was put back as it was",
        "see whether it gets CPU time (cpu.max); and try again",
    ),
    "pending": (
        "the call in it has not ended; a ksmrun-attach of its own waits for that, to put it back",
        "see what holds it: /proc/PID/stack; do not end that ksmrun-attach",
    ),
    "unreadable": (
        "its memory could not be looked at within a second",
        "see what holds it: /proc/PID/stack",
    ),
    "lost": ("it did not do what was asked", "see whether it still works; and report this"),
}


def deed(*, merges: bool, has_flag: bool) -> Deed:
    """Return the change to make. has_flag: whether this kernel has PR_SET_MEMORY_MERGE (6.4)."""
    if has_flag:
        return Deed.ON if merges else Deed.OFF
    return Deed.MARK if merges else Deed.UNMARK


def refusal(found: Candidate, max_map_count: int | None, wanted: Deed) -> tuple[str, str] | None:
    """Return why the process is left alone, and what to do; None if it may be tried."""
    if found.is_kernel_thread:
        return "it is the kernel's, and has no memory of its own", "name another"
    if found.state in ("Z", "X"):
        return "it has ended", "name another"
    if found.tracer:
        return (
            f"PID {found.tracer} traces it",
            "end the debugger (gdb, strace) first",
        )
    if found.state in ("T", "t"):
        return OUTCOMES["stopped"]
    if found.state == "D":
        return OUTCOMES["no-stop"]
    if wanted.merges and found.maps is not None and max_map_count is not None:
        most = int(max_map_count * (1 - MAP_RESERVE))
        if found.maps > most:
            return (
                f"it has {found.maps} maps of {max_map_count}, too near the limit",
                "sudo ksmrun host max-map-count N first",
            )
    return None


def who(found: Candidate) -> str:
    """Return the argument of ksmrun-attach: PID and start time, because PIDs are reused."""
    return f"{found.identity.pid}:{found.identity.start_ticks}"


def outcome(name: str, error: int) -> tuple[str, str]:
    """Return what a result of ksmrun-attach means, and what to do."""
    if name == "refused":
        return f"the kernel refused the call (errno {error})", "see `ksmrun check`"
    return OUTCOMES.get(name, (f"ksmrun-attach says {name!r}", "install ksmrun again"))
