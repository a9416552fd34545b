"""Compute an arm's metrics from the samples of its hold. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from ksmrun.model.experiment import FleetSample

MEANS = (
    *("pss_bytes", "pss_anonymous_bytes", "uss_bytes", "rss_bytes", "swap_bytes"),
    *("mem_available_bytes", "maps_max", "general_profit_bytes"),
)
# By the counter from which each is computed.
RATES = {
    "cpu_share": "cpu_seconds",
    "ksmd_cpu_share": "ksmd_cpu_seconds",
    "minor_faults_per_second": "minor_faults",
    "major_faults_per_second": "major_faults",
    "cow_ksm_per_second": "cow_ksm",
    "memory_pressure_share": "memory_pressure_seconds",
    "cpu_pressure_share": "cpu_pressure_seconds",
}
HOLD_METRICS = (
    *(*MEANS, *RATES),
    *("merged_bytes", "mergeable_bytes", "settle_seconds", "ksmd_cpu_seconds"),
)


def hold_metrics(samples: Sequence[FleetSample], page_bytes: int) -> dict[str, float]:
    """Return means of sizes and rates over the hold, without what was not counted."""
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
