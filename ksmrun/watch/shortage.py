"""Decide whether memory is short, which is when `--auto=pressure` lets ksmd run fast. Pure.

As ksmtuned does (KSM_THRES_COEF=20) and KubeVirt (pkg/virt-handler/ksm): it begins when less than a
fifth of all memory is available. It also begins when programs wait for memory (Linux's PSI,
Documentation/accounting/psi.rst), and ends when both have been over for a while.
"""

from __future__ import annotations

from dataclasses import dataclass

from ksmrun.support.units import GIB

# Shares of all memory that is available; it ends this far above the one at which it begins.
AVAILABLE_MIN, AVAILABLE_MARGIN = 0.2, 0.05
# Share of time in which some task waited for memory.
WAITING_HIGH, WAITING_LOW = 0.1, 0.01
# A shorter interval says little about waiting.
INTERVAL_SECONDS_MIN = 5.0
# How long both must be over.
CALM_SECONDS = 60.0


@dataclass(frozen=True)
class MemoryLook:
    """Observation at one moment of the monotonic clock. waited_seconds: since boot; None: no PSI.

    available_bytes is None if /proc/meminfo cannot be read.
    """

    seconds: float
    total_bytes: int | None
    available_bytes: int | None
    waited_seconds: float | None

    @property
    def available_share(self) -> float:
        """Share of all memory; 1 if it is not known."""
        if self.available_bytes is None or not self.total_bytes:
            return 1.0
        return self.available_bytes / self.total_bytes


@dataclass(frozen=True)
class Shortage:
    """State carried to the next step. look: the last one from which waiting was computed.

    calm_seconds: when it was last seen to become calm; None: it is not.
    """

    look: MemoryLook
    is_short: bool = False
    calm_seconds: float | None = None


def judged(before: Shortage | None, look: MemoryLook, below: float) -> tuple[Shortage, str]:
    """Return the next state and a log message, which is empty if it stays as it is.

    below: share of memory that must be available.
    """
    earlier = look if before is None else before.look
    passed = look.seconds - earlier.seconds
    waiting = 0.0
    if look.waited_seconds is not None and earlier.waited_seconds is not None and passed > 0:
        waiting = (look.waited_seconds - earlier.waited_seconds) / passed
    kept = look if passed >= INTERVAL_SECONDS_MIN else earlier
    available = look.available_share
    is_waiting = passed >= INTERVAL_SECONDS_MIN and waiting >= WAITING_HIGH
    if before is None or not before.is_short:
        if available >= below and not is_waiting:
            return Shortage(kept), ""
        why = f"{_of_all(look)} available, less than {below:.0%}"
        if available >= below:
            why = f"programs wait for it for {waiting:.0%} of the time"
        return Shortage(kept, is_short=True), f"memory is short: {why}"
    is_calm = available >= min(below + AVAILABLE_MARGIN, 1.0) and waiting < WAITING_LOW
    if not is_calm:
        return Shortage(kept, is_short=True), ""
    since = look.seconds if before.calm_seconds is None else before.calm_seconds
    if look.seconds - since < CALM_SECONDS:
        return Shortage(kept, is_short=True, calm_seconds=since), ""
    return Shortage(kept), f"memory is no longer short: {_of_all(look)} available"


def _of_all(look: MemoryLook) -> str:
    available, total = look.available_bytes or 0, look.total_bytes or 0
    return f"{available / GIB:.1f} of {total / GIB:.1f} GiB are"
