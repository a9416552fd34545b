"""From the samples of one arm's hold to its metrics, and what is to be said of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from ksmrun.model.experiment import FleetSample

# Of time in which some task waited for memory: so much is felt.
PRESSURE_SHARE_MAX = 0.1
HUGE_SHARE_MAX = 0.05
MIB = 1 << 20
MEANS = (
    *("pss_bytes", "pss_anonymous_bytes", "uss_bytes", "rss_bytes", "swap_bytes"),
    *("mem_available_bytes", "maps_max", "general_profit_bytes"),
)
# By the counter that each is of.
RATES = {
    "cpu_share": "cpu_seconds",
    "ksmd_cpu_share": "ksmd_cpu_seconds",
    "minor_faults_per_second": "minor_faults",
    "major_faults_per_second": "major_faults",
    "cow_ksm_per_second": "cow_ksm",
    "memory_pressure_share": "memory_pressure_seconds",
    "cpu_pressure_share": "cpu_pressure_seconds",
}
HOLD_METRICS = (*MEANS, *RATES, "merged_bytes", "settle_seconds", "ksmd_cpu_seconds")


def hold_metrics(samples: Sequence[FleetSample], page_bytes: int) -> dict[str, float]:
    """Means of sizes over the hold, and rates over it; what was not counted is left out."""
    first, last = samples[0], samples[-1]
    seconds = max(last.elapsed_seconds - first.elapsed_seconds, 1e-9)
    metrics: dict[str, float] = {}
    for name in MEANS:
        values = [getattr(sample, name) for sample in samples if getattr(sample, name) is not None]
        if values:
            metrics[name] = fmean(values)
    for name, source in RATES.items():
        before, after = getattr(first, source), getattr(last, source)
        if before is not None and after is not None:
            metrics[name] = (after - before) / seconds
    merged = [
        (sample.pages_sharing + max(0, sample.zero_pages or 0)) * page_bytes
        for sample in samples
        if sample.pages_sharing is not None
    ]
    if merged:
        metrics["merged_bytes"] = fmean(merged)
    return metrics


def warnings(
    samples: Sequence[FleetSample], *, settled: bool | None, settle_seconds_max: float
) -> list[tuple[str, str]]:
    """(what, what to do), of one arm in one round. samples: of all phases."""
    found = []
    if settled is False:
        found.append(
            (
                f"merging had not settled after {settle_seconds_max:.0f} s",
                "raise the scan rate (--ksm pages_to_scan=5000), or --settle-max",
            )
        )
    hold = [sample for sample in samples if sample.phase == "hold"] or list(samples[-1:])
    if not hold:
        return found
    first, last = hold[0], hold[-1]
    if (last.swap_used_bytes or 0) > (samples[0].swap_used_bytes or 0) + MIB:
        found.append(
            (
                "the host swapped, which hides memory from PSS",
                "take fewer copies (-n), or switch swap off for the measurement",
            )
        )
    metrics = hold_metrics(hold, 1)
    if len(hold) > 1 and metrics.get("memory_pressure_share", 0.0) > PRESSURE_SHARE_MAX:
        found.append(
            (
                f"tasks waited for memory {metrics['memory_pressure_share']:.0%} of the time",
                "take fewer copies (-n)",
            )
        )
    huge = next((each.huge_bytes for each in reversed(hold) if each.huge_bytes is not None), 0)
    anonymous = metrics.get("pss_anonymous_bytes", 0.0)
    if anonymous and huge / anonymous > HUGE_SHARE_MAX:
        found.append(
            (
                f"{huge / anonymous:.0%} of the memory lies in huge pages, which KSM has to split",
                "try an arm with --thp off",
            )
        )
    if first.processes != last.processes:
        found.append(
            (
                f"the number of processes changed while measuring, from {first.processes} to "
                f"{last.processes}",
                "measure when the fleet is quiet (--warm-up), or hold longer",
            )
        )
    return found
