"""Which way the merge flag reaches a program. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ksmrun.model import Mechanism, MergeMode, Probe, Request, TargetFacts

LOST_AT_EXEC = (
    "this kernel loses the merge flag at exec, as 6.4 to 6.6 do",
    "boot a kernel of 6.12 or later",
)


@dataclass(frozen=True)
class Choice:
    """The mechanism (None: no flag is to be set) and why.

    obstacle is set where the program will not merge all the same: (what, to do).
    """

    mechanism: Mechanism | None
    reason: str
    obstacle: tuple[str, str] | None = None


def obstacle_to_merging(probe: Probe) -> tuple[str, str] | None:
    """Why no program would merge on this kernel, and what to do; None where some would."""
    if probe.prctl_supported is not False:
        return None
    return (
        probe.prctl_obstacle_what or "prctl(PR_SET_MEMORY_MERGE) fails",
        probe.prctl_obstacle_todo or "look at `ksmrun-exec --probe`",
    )


def choose(
    request: Request, probe: Probe | None, target: TargetFacts, shim: bytes | None
) -> Choice:
    """The mechanism for this launch. shim is None where its path cannot be preloaded."""
    if request.merge is MergeMode.OFF:
        return Choice(None, "merging is off as asked: an inherited merge flag is cleared")
    if request.merge is MergeMode.KEEP:
        return Choice(None, "the merge flag is left as it was inherited")
    obstacle = obstacle_to_merging(probe) if probe is not None else None
    if obstacle is not None:
        return Choice(Mechanism.PRCTL, f"prctl is tried, though {obstacle[0]}", obstacle)
    lost = probe is not None and probe.kept_over_exec is False
    never_scanned = probe is not None and is_never_scanned(probe)
    if request.mechanism is Mechanism.PRCTL or not (
        lost or never_scanned or request.mechanism is Mechanism.PRELOAD
    ):
        reason = "prctl before exec" if lost else "prctl before exec: this kernel keeps the flag"
        return Choice(Mechanism.PRCTL, reason, LOST_AT_EXEC if lost else None)
    unreachable = _not_preloadable(target, shim)
    if unreachable is None:
        return Choice(Mechanism.PRELOAD, "the shim sets the merge flag from inside the program")
    if request.mechanism is Mechanism.PRELOAD or lost:
        return Choice(
            Mechanism.PRCTL,
            f"the shim cannot be used: {unreachable}",
            LOST_AT_EXEC if lost else None,
        )
    return Choice(Mechanism.PRCTL, f"prctl before exec; the shim cannot be used: {unreachable}")


def is_never_scanned(probe: Probe) -> bool:
    """Whether ksmd may never look at a program that got the flag before its exec."""
    return probe.known_not_scanned is not None and probe.scanned_after_exec != "yes"


def _not_preloadable(target: TargetFacts, shim: bytes | None) -> str | None:
    if shim is None:
        return "its path holds a blank or a colon, at which ld.so splits LD_PRELOAD"
    if target.setuid or target.setgid:
        return "the program changes user or group at exec, and ld.so ignores LD_PRELOAD then"
    if target.dynamic is False:
        return "the program is statically linked"
    return None
