"""Map-count guard: does a program stay away from vm.max_map_count, with and without merging? Pure.

A process at the limit gets ENOMEM from mmap, mprotect and thread creation, and usually aborts.
Merging brings it nearer only where each new mapping stays a VMA of its own (Linux 6.4 to 6.16).
"""

from __future__ import annotations

from collections.abc import Iterable

from ksmrun.model.frozen import dataclass
from ksmrun.model.launch import GuardMode, MapPeak
from ksmrun.support.units import MIB

# glibc grows its heap by M_TOP_PAD and the request, in pages (malloc/malloc.c: sysmalloc).
BRK_STEP_BYTES = 132 * 1024
# vm_area_struct, and its share of a half-full maple node (/proc/slabinfo on 6.18: 192, 256 for 16).
VMA_KERNEL_BYTES = 224
SAID = {
    "fits": "the map limit suffices",
    "tight": "vm.max_map_count leaves too little in reserve",
    "short": "vm.max_map_count is too low",
    "unknown": "the map limit may not suffice",
}


@dataclass(frozen=True)
class Judgement:
    """Verdict with its arithmetic: fits, tight (into the reserve), short (over the limit), unknown.

    without_merging is the verdict on the same program without merging; merging_adds: whether it has
    more VMAs while it merges on this kernel.
    """

    verdict: str
    without_merging: str
    expected_maps: int | None
    limit: int | None
    reserve: float
    arithmetic: str
    merging_adds: bool = False

    @property
    def fitting_limit(self) -> int:
        """Smallest power of two that leaves the reserve."""
        return fitting_limit(self.expected_maps or 0, self.reserve)

    @property
    def message(self) -> str:
        """Figures behind the verdict."""
        return f"{SAID[self.verdict]}: {self.arithmetic}"

    @property
    def todo(self) -> str:
        """Ways out, and the cost of the first."""
        kernel_mib = self.fitting_limit * VMA_KERNEL_BYTES / MIB
        raising = (
            f"run `sudo ksmrun host max-map-count {self.fitting_limit}` (up to {kernel_mib:.0f} "
            "MiB of kernel memory for each process that uses them)"
        )
        # Another kernel helps only against what merging adds on this one.
        joins = ", or boot Linux 6.17 or later, which joins mappings"
        return raising + joins if self.merging_adds else raising


def allowed_maps(limit: int, reserve: float) -> int:
    """Return the largest number of VMAs that leaves the reserve."""
    return int(limit * (1 - reserve))


def fitting_limit(maps: int, reserve: float) -> int:
    """Return the smallest power of two of which so many VMAs leave the reserve."""
    return 1 << int(maps / (1 - reserve)).bit_length()


def judge(
    peaks: Iterable[MapPeak], limit: int | None, reserve: float, *, vmas_merge: bool
) -> Judgement:
    """Return the verdict on the highest known peak."""
    known = tuple(peaks)
    if limit is None or not known:
        why = "the limit is unreadable" if limit is None else "no copy of this program was seen yet"
        return Judgement("unknown", "unknown", None, limit, reserve, why)
    peak = max(known, key=lambda peak: _with_merging(peak, vmas_merge))
    expected = _with_merging(peak, vmas_merge)
    allowed = allowed_maps(limit, reserve)
    steps = "" if expected == peak.maps else f" and {expected - peak.maps} more while merging"
    arithmetic = (
        f"{peak.maps} maps ({peak.source}){steps}, of {limit} less {reserve * 100:g}% = {allowed}"
    )
    alone = max(peak.maps for peak in known)
    return Judgement(
        _verdict(expected, allowed, limit),
        _verdict(alone, allowed, limit),
        expected,
        limit,
        reserve,
        arithmetic,
        merging_adds=expected > peak.maps,
    )


def action(judgement: Judgement, mode: GuardMode) -> str:
    """Return merge, warn (and merge), skip (merging) or refuse (the launch)."""
    if mode is GuardMode.OFF or judgement.verdict in ("fits", "unknown"):
        return "merge"
    if mode is GuardMode.REFUSE:
        return "refuse"
    merging_goes_over = judgement.without_merging == "fits"
    return "skip" if mode is GuardMode.SKIP and merging_goes_over else "warn"


def _with_merging(peak: MapPeak, vmas_merge: bool) -> int:
    if vmas_merge:
        return peak.maps
    return peak.maps + (peak.data_bytes or 0) // BRK_STEP_BYTES


def _verdict(maps: int, allowed: int, limit: int) -> str:
    if maps <= allowed:
        return "fits"
    return "tight" if maps <= limit else "short"
