"""Warnings about one arm's turn, each as (what, what to do). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ksmrun.experiment.summary import hold_metrics
from ksmrun.model.experiment import FleetSample
from ksmrun.observe.members import Member
from ksmrun.observe.other_mergers import NAMES_MAX, Other, names
from ksmrun.support.units import MIB

Note = tuple[str, str]
# Share of time in which some task waited for memory: noticeable from here on.
PRESSURE_SHARE_MAX = 0.1
HUGE_SHARE_MAX = 0.05
MAPS_SHARE_MAX = 0.7
# Difference between the copies that merge least and most, as a share of the latter.
UNEQUAL_SHARE_MAX = 0.2
# Smaller amounts do not change a result.
SIZE_BYTES_MIN = 1 << 20
# Share of the mergeable memory: noticeable if this much is left unmerged.
LEFT_SHARE_MAX = 0.1


@dataclass(frozen=True)
class Seen:
    """Observations made once per turn.

    others: what else KSM works for, before the start and after the hold. lost: processes that were
    there when all were ready and not later, and whether each was replaced. merged_bytes: of each
    copy.
    """

    others: Sequence[Other] = ()
    lost: Sequence[tuple[Member, bool]] = ()
    merged_bytes: Sequence[int] = ()
    left_bytes: float | None = None
    smart_scan: bool = False
    page_bytes: int = 4096
    max_map_count: int | None = None
    ksm_is_on: bool = True
    # Whether the arm is meant to merge, and does.
    is_to_merge: bool = True
    merges: bool = True


def warnings(
    samples: Sequence[FleetSample], seen: Seen, *, settled: bool | None, settle_seconds_max: float
) -> list[Note]:
    """Return the warnings of one arm in one round. samples: of all phases."""
    found = list(_of_the_fleet(seen, settled=settled))
    if settled is False:
        found.insert(
            0,
            (
                f"merging had not settled after {settle_seconds_max:.0f} s",
                "raise the scan rate (--ksm pages_to_scan=5000), or --settle-max",
            ),
        )
    hold = [sample for sample in samples if sample.phase == "hold"] or list(samples[-1:])
    if hold:
        found += _of_memory(samples[0], hold)
        found += _of_maps(hold, seen.max_map_count)
        if not seen.lost and hold[0].processes != hold[-1].processes:
            found.append(
                (
                    f"the number of processes changed while measuring, from {hold[0].processes} to "
                    f"{hold[-1].processes}",
                    "measure when the fleet is quiet (--warm-up), or hold longer",
                )
            )
    return found


def _of_the_fleet(seen: Seen, *, settled: bool | None) -> Iterator[Note]:
    if not seen.ksm_is_on:
        yield (
            "KSM was switched off while measuring",
            "keep it on: `ksmrun host show` names what else sets it",
        )
    elif seen.is_to_merge and not seen.merges:
        yield (
            "no process of this arm is enabled for merging",
            "see what `ksmrun run` says of the command, and `ksmrun check COMMAND`",
        )
    large = [other for other in seen.others if _size(other, seen) >= SIZE_BYTES_MIN]
    if large:
        size = sum(_size(each, seen) for each in large) / MIB
        yield (
            f"other programs merge on this host too: {names(large)}, {size:.0f} MiB",
            "stop them for the measurement: they take ksmd's time, and count as merged memory",
        )
    for is_replaced, what, todo in (
        (True, "restarted", "what it had merged was lost: see in its log why it restarted"),
        (False, "ended", "see in its log why; start it by hand with the same load"),
    ):
        gone = [
            f"{each.name} (PID {each.pid})" for each, again in seen.lost if again == is_replaced
        ]
        if gone:
            more = f" and {len(gone) - NAMES_MAX} more" if len(gone) > NAMES_MAX else ""
            yield f"{', '.join(gone[:NAMES_MAX])}{more} {what} while measuring", todo
    left = seen.left_bytes or 0.0
    could = sum(seen.merged_bytes) + left
    if settled and seen.smart_scan and left > max(SIZE_BYTES_MIN, could * LEFT_SHARE_MAX):
        # mm/ksm.c: should_skip_rmap_item(): a skipped page is removed from the unstable tree.
        yield (
            f"{left / MIB:.0f} MiB of {could / MIB:.0f} MiB that could merge have not: smart_scan "
            "looks at old pages in every ninth full scan only, and two copies never looked at in "
            "the same one are kept apart",
            "--ksm smart_scan=0, or more copies: the effect goes with the first pair that meets",
        )
    least, most = min(seen.merged_bytes, default=0), max(seen.merged_bytes, default=0)
    if most - least > max(SIZE_BYTES_MIN, most * UNEQUAL_SHARE_MAX):
        yield (
            f"the copies merge unequally, from {least / MIB:.0f} MiB to {most / MIB:.0f} MiB each: "
            "their start seeds or their work differ",
            "let all load the same; seeds from the clock are equal only within a second "
            "(--stagger), and an arm with --layout=shared shares those of known interpreters",
        )


def _size(other: Other, seen: Seen) -> int:
    return other.scanned_pages * seen.page_bytes


def _of_memory(before: FleetSample, hold: Sequence[FleetSample]) -> Iterator[Note]:
    last = hold[-1]
    if (last.swap_used_bytes or 0) > (before.swap_used_bytes or 0) + MIB or (
        max((each.swap_bytes or 0 for each in hold), default=0) > MIB
    ):
        yield (
            "the host swapped, which hides memory from PSS",
            "start fewer copies (-n), or switch swap off for the measurement",
        )
    metrics = hold_metrics(hold, 1)
    pressure = metrics.get("memory_pressure_share", 0.0)
    if len(hold) > 1 and pressure > PRESSURE_SHARE_MAX:
        yield f"tasks waited for memory {pressure:.0%} of the time", "start fewer copies (-n)"
    huge = next((each.huge_bytes for each in reversed(hold) if each.huge_bytes is not None), 0)
    anonymous = metrics.get("pss_anonymous_bytes", 0.0)
    if anonymous and huge / anonymous > HUGE_SHARE_MAX:
        yield (
            f"{huge / anonymous:.0%} of the memory lies in huge pages, which KSM has to split",
            "try an arm with --thp off",
        )


def _of_maps(hold: Sequence[FleetSample], limit: int | None) -> Iterator[Note]:
    most = max((each.maps_max or 0 for each in hold), default=0)
    if limit and most > limit * MAPS_SHARE_MAX:
        yield (
            f"a process has {most} maps of {limit} (vm.max_map_count), and fails at the limit",
            f"sudo ksmrun host max-map-count {limit * 4}",
        )
