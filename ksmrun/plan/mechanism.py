"""Choose the mechanism by which a program's memory merges. Pure."""

from __future__ import annotations

from dataclasses import replace

from ksmrun.model.frozen import dataclass
from ksmrun.model.launch import Mechanism, MergeMode, Probe, Request, TargetFacts

LOST_AT_EXEC = (
    "this kernel loses the merge flag at exec, as Linux 6.4 to 6.6 do",
    "boot Linux 6.12 or later",
)
INJECTS = "a helper has the program set the merge flag right after its exec"


# With these obstacles to the prctl madvise still works. An emulator passes neither on, and without
# CONFIG_KSM or memory nothing can merge.
MARKABLE_OBSTACLES = ("kernel-too-old", "seccomp")


@dataclass(frozen=True)
class Choice:
    """Mechanism (None: no flag is set, nothing is marked) and the reason.

    obstacle is set if the program will not merge in spite of it: (what, to do).
    """

    mechanism: Mechanism | None
    reason: str
    obstacle: tuple[str, str] | None = None


OFF = Choice(None, "merging is off as asked: an inherited merge flag is cleared")


def obstacle_to_merging(probe: Probe) -> tuple[str, str] | None:
    """Return why the prctl fails on this kernel, and what to do; None if it works."""
    if probe.prctl_supported is not False:
        return None
    return (
        probe.prctl_obstacle_what or "prctl(PR_SET_MEMORY_MERGE) fails",
        probe.prctl_obstacle_todo or "run `ksmrun-exec --probe` and read prctl_error",
    )


def is_same_for_all(probe: Probe) -> bool:
    """Return whether this kernel needs nothing of a program: the prctl does for each."""
    return obstacle_to_merging(probe) is None and _wanted(Mechanism.AUTO, probe)[0] is (
        Mechanism.PRCTL
    )


def can_mark(probe: Probe) -> bool:
    """Return whether madvise merges what the prctl cannot reach."""
    return probe.prctl_supported is not False or probe.prctl_obstacle in MARKABLE_OBSTACLES


def choose(
    request: Request, probe: Probe | None, target: TargetFacts, shim: bytes | None
) -> Choice:
    """Return the mechanism for this launch. shim is None if its path cannot be preloaded."""
    if request.merge is MergeMode.OFF:
        return OFF
    if request.exclude_secrets:
        return _choose_excluding(request, probe, target, shim)
    if request.merge is MergeMode.KEEP:
        return Choice(None, "the merge flag is left as it was inherited")
    wanted, reason = _wanted(request.mechanism, probe)
    obstacle = None
    if probe is not None and wanted is not Mechanism.MARK:
        obstacle = obstacle_to_merging(probe)
    if obstacle is not None:
        return Choice(Mechanism.PRCTL, f"prctl is tried, though {obstacle[0]}", obstacle)
    if wanted is Mechanism.INJECT:
        return Choice(wanted, reason)
    if wanted is not Mechanism.PRCTL:
        unreachable = not_preloadable(target, shim)
        if unreachable is None:
            return Choice(wanted, reason)
        if _helps_to_inject(request, probe, target):
            reason = f"{INJECTS}, as the shim cannot be used: {unreachable}"
            return Choice(Mechanism.INJECT, reason)
        reason = f"prctl before exec; the shim cannot be used: {unreachable}"
    if probe is not None:
        lost = LOST_AT_EXEC if probe.kept_over_exec is False else None
        obstacle = obstacle_to_merging(probe) or lost
    return Choice(Mechanism.PRCTL, reason, obstacle)


def _choose_excluding(
    request: Request, probe: Probe | None, target: TargetFacts, shim: bytes | None
) -> Choice:
    """Return how the program merges without its secrets, which the shim alone can tell.

    Fails closed: the flag is set from inside by the shim, or not at all.
    """
    asked = request.mechanism
    wanted, reason = _wanted(asked, probe)
    todo = "leave out --exclude-secrets if all of it may merge"
    obstacle = None if probe is None else obstacle_to_merging(probe)
    unreachable = not_preloadable(target, shim)
    why: str | None = None
    if request.merge is MergeMode.KEEP:
        why, todo = "--merge=keep leaves an inherited flag", "leave one of the two out"
    elif asked in (Mechanism.PRCTL, Mechanism.INJECT):
        why, todo = f"--mechanism={asked} has no shim", "leave --mechanism out"
    elif not request.inherit:
        why = "with --no-inherit, children keep the flag and lose the shim"
        todo = "leave --no-inherit out"
    elif obstacle is not None and wanted is not Mechanism.MARK:
        why, todo = obstacle
    elif unreachable is not None:
        why = f"the shim cannot be used: {unreachable}"
    elif target.elf_class_bits == 32:
        why = "the shim does that in 64-bit programs only"
    if why is not None:
        return replace(OFF, obstacle=(f"memory will not merge with --exclude-secrets: {why}", todo))
    if wanted is not Mechanism.MARK:
        wanted, reason = Mechanism.PRELOAD, "the shim sets the merge flag from inside the program"
    return Choice(wanted, f"{reason}, and keeps out what it locks or leaves out of dumps")


def _helps_to_inject(request: Request, probe: Probe | None, target: TargetFacts) -> bool:
    """Return whether to set the flag after the exec, because the exec loses one set before.

    Not if merging is required, as the program is running by then, and not if the program gains
    privileges, as it cannot be traced then.
    """
    gains = target.setuid or target.setgid or target.capabilities
    is_auto = request.mechanism is Mechanism.AUTO
    if probe is None or gains or request.require or not is_auto:
        return False
    return probe.kept_over_exec is False or is_never_scanned(probe)


def is_never_scanned(probe: Probe) -> bool:
    """Return whether ksmd may never scan a program that got the flag before its exec."""
    return probe.known_not_scanned is not None and probe.scanned_after_exec != "yes"


def adds_vmas(probe: Probe | None, choice: Choice) -> bool:
    """Return whether merging adds VMAs: the flag keeps them apart, and no shim joins them."""
    by_launcher = choice.mechanism in (Mechanism.PRCTL, Mechanism.INJECT)
    return by_launcher and probe is not None and probe.vmas_merge is False


def _wanted(asked: Mechanism, probe: Probe | None) -> tuple[Mechanism, str]:
    """Return what the user asked for, else what this kernel needs, and why."""
    inside = "the shim sets the merge flag from inside the program"
    marks = "the shim marks memory with madvise"
    if asked is not Mechanism.AUTO:
        reasons = {
            Mechanism.PRELOAD: inside,
            Mechanism.MARK: f"{marks}, as asked",
            Mechanism.INJECT: f"{INJECTS}, as asked",
        }
        return asked, reasons.get(asked, "prctl before exec, as asked")
    if probe is None:
        return Mechanism.PRCTL, "prctl before exec: the kernel could not be asked"
    obstacle = obstacle_to_merging(probe)
    if obstacle is not None:
        return (Mechanism.MARK if can_mark(probe) else Mechanism.PRCTL), f"{marks}: {obstacle[0]}"
    if probe.kept_over_exec is False:
        return Mechanism.PRELOAD, f"{inside}: {LOST_AT_EXEC[0]}"
    if probe.vmas_merge is False:
        return (
            Mechanism.PRELOAD,
            "the shim joins the VMAs that this kernel's merge flag keeps apart",
        )
    if is_never_scanned(probe):
        return Mechanism.PRELOAD, f"{inside}: this kernel may not scan it otherwise"
    return Mechanism.PRCTL, "prctl before exec: this kernel keeps the flag"


def not_preloadable(target: TargetFacts, shim: bytes | None) -> str | None:
    """Return why ld.so would not load the shim into the program; None if it would."""
    if shim is None:
        return "its path has a space or colon, at which ld.so splits LD_PRELOAD"
    if target.setuid or target.setgid:
        return "the program changes user or group at exec, and ld.so ignores LD_PRELOAD then"
    if target.capabilities:
        return "the program gets capabilities at exec, and ld.so ignores LD_PRELOAD then"
    if target.needs_first_preload:
        return "the program is built with AddressSanitizer, which must be the first library"
    if target.dynamic is False:
        return "the program is statically linked"
    return None
