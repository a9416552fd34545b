"""Metrics named as Prometheus recommends (prometheus.io/docs/practices/naming)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Lock

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ksmrun import __version__
from ksmrun.model.quantities import AVAILABLE, HOST_MERGED, HOST_PROFIT, KSMD_SECONDS
from ksmrun.model.trust import Member
from ksmrun.model.watch import (
    ALERT_KINDS,
    Condition,
    Followed,
    HostState,
    TrustView,
    Watched,
    WatchState,
)
from ksmrun.observe.groups import Group
from ksmrun.observe.quantities import QUANTITIES, ProcessQuantity
from ksmrun.watch.labels import LabelBook

# Value of a group of processes; None: unknown.
Value = Callable[[list[Watched]], float | None]
# An empty label is none. Prometheus has a label "job" of its own.
GROUP_LABELS = ("unit", "namespace", "pod", "container", "command", "slurm_job")
# No names of domains.
OUTSIDE = NONE_LABEL, SEVERAL_LABEL, EXEMPT_LABEL = "(none)", "(several)", "(exempt)"


@dataclass(frozen=True)
class Shown:
    """Last sample, as it is exported. when: seconds of the Unix epoch."""

    state: WatchState
    standing: tuple[Condition, ...]
    raised_total: dict[str, int]
    when: float


class WatchCollector(Collector):
    """Exports the last sample that it was given; nothing before the first."""

    def __init__(self) -> None:
        self.by_pid = False
        self.shown: Shown | None = None
        # Several clients may ask at once.
        self._book, self._lock = LabelBook(), Lock()

    def collect(self) -> Iterator[Metric]:
        """Yield all metric families, from one sample."""
        shown = self.shown
        if shown is None:
            return
        yield from _of_host(shown.state.host)
        yield from self._of_groups(shown.state)
        yield from _of_alerts(shown)
        yield from _of_monitor(shown)
        if shown.state.trust is not None:
            yield from _of_trust(shown.state.trust, shown.state.host.ksm.page_bytes)
        if shown.state.followed is not None:
            yield from _of_followed(shown.state.followed)

    def _of_groups(self, state: WatchState) -> Iterator[Metric]:
        labels = (*GROUP_LABELS, "pid") if self.by_pid else GROUP_LABELS
        with self._lock:
            groups = self._book.group(state.processes, state.host.seconds, by_pid=self.by_pid)
        page, limit = state.host.ksm.page_bytes, state.host.max_map_count

        def family(name: str, text: str, value: Value) -> Metric:
            metric = GaugeMetricFamily(f"ksmrun_{name}", text, labels=labels)
            for key, processes in groups.items():
                number = value(processes)
                if number is not None:
                    metric.add_metric(key, number)
            return metric

        yield family("processes", "Processes that merge.", len)
        for quantity in QUANTITIES:
            if quantity.is_metric:
                told = quantity.quantity
                yield family(told.id, told.help, _reader(quantity, page, limit))
        yield family(
            "uss_bytes",
            "Memory that no other process has; divided by the processes, what one more would take.",
            lambda them: Group(None, "", tuple(them)).uss_bytes,
        )
        yield family(
            "unmerge_max_bytes",
            "Memory that comes back if the process with most merged memory is unmerged.",
            lambda them: _size(Group(None, "", tuple(them)).unmerge_max_pages, page),
        )
        yield family(
            "map_headroom_min_ratio",
            "Free share of vm.max_map_count of the process that has the least.",
            lambda them: headroom(them, limit),
        )


def _reader(quantity: ProcessQuantity, page_bytes: int, limit: int | None) -> Value:
    return lambda them: quantity.read(Group(None, "", tuple(them)), page_bytes, limit)


def headroom(processes: list[Watched], limit: int | None) -> float | None:
    """Return the smallest free share of the map limit."""
    maps = Group(None, "", tuple(processes)).maps
    return None if maps is None or not limit else 1 - maps / limit


def _of_host(host: HostState) -> Iterator[Metric]:
    ksm = host.ksm
    gauges: tuple[tuple[str, str, float | None], ...] = (
        ("ksm_run", "/sys/kernel/mm/ksm/run: 1 is on, 2 unmerges.", ksm.run),
        (
            "ksm_kept_bytes",
            "Memory of merged pages that are kept, each once for several places.",
            _size(ksm.number("pages_shared"), ksm.page_bytes),
        ),
        ("ksm_saved_bytes", HOST_MERGED.help, ksm.merged_bytes),
        (
            "ksm_profit_bytes",
            HOST_PROFIT.help,
            ksm.number("general_profit"),
        ),
        ("memory_available_bytes", AVAILABLE.help, host.mem_available_bytes),
        ("maps_limit", "vm.max_map_count.", host.max_map_count),
    )
    for name, text, value in gauges:
        if value is not None:
            yield GaugeMetricFamily(f"ksmrun_{name}", text, value=value)
    counters: tuple[tuple[str, str, float | None], ...] = (
        ("ksmd_cpu_seconds", KSMD_SECONDS.help, host.ksmd_cpu_seconds),
        ("ksm_scanned_pages", "Pages that ksmd has scanned.", ksm.pages_scanned),
        ("ksm_full_scans", "Full scans of all mergeable memory by ksmd.", ksm.full_scans),
        ("ksm_cow_breaks", "Merged pages copied back as a program wrote to them.", host.cow_breaks),
    )
    for name, text, value in counters:
        if value is not None:
            yield CounterMetricFamily(f"ksmrun_{name}", text, value=value)


def _size(pages: int | None, page_bytes: int) -> int | None:
    return None if pages is None else pages * page_bytes


def _of_alerts(shown: Shown) -> Iterator[Metric]:
    standing = GaugeMetricFamily("ksmrun_alerts", "Alerts that stand.", labels=("kind",))
    raised = CounterMetricFamily("ksmrun_alerts_raised", "Alerts raised so far.", labels=("kind",))
    for kind in ALERT_KINDS:
        standing.add_metric((kind,), sum(each.kind == kind for each in shown.standing))
        raised.add_metric((kind,), shown.raised_total[kind])
    yield standing
    yield raised


def _of_monitor(shown: Shown) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "ksmrun_unreadable_processes",
        "Processes that the monitor may not read.",
        value=shown.state.unreadable,
    )
    yield GaugeMetricFamily(
        "ksmrun_last_sample_timestamp_seconds", "When the last sample was taken.", value=shown.when
    )
    yield CounterMetricFamily(
        "ksmrun_monitor_cpu_seconds", "CPU time of the monitor.", value=time.process_time()
    )
    info = GaugeMetricFamily("ksmrun_build_info", "The monitor.", labels=("version",))
    info.add_metric((__version__,), 1)
    yield info
    if shown.state.boosts is not None:
        text = "1 while --auto runs ksmd fast, else 0."
        yield GaugeMetricFamily("ksmrun_ksmd_boosted", text, value=shown.state.boosts)


def _of_trust(trust: TrustView, page_bytes: int) -> Iterator[Metric]:
    """Yield sums by domain: those of the file, and one each for none, several and exempt."""
    count = GaugeMetricFamily(
        "ksmrun_trust_domain_processes", "Processes that merge.", labels=("domain",)
    )
    merged = GaugeMetricFamily(
        "ksmrun_trust_domain_merged_bytes",
        "Memory of them that is merged, with the kernel's zero page too.",
        labels=("domain",),
    )
    for name in (*trust.names, *OUTSIDE):
        them = [each.merger for each in trust.members if _domain_label(each) == name]
        count.add_metric((name,), len(them))
        merged.add_metric((name,), sum(each.merged_pages for each in them) * page_bytes)
    yield count
    yield merged


def _domain_label(member: Member) -> str:
    if member.is_exempt:
        return EXEMPT_LABEL
    return member.domain or (SEVERAL_LABEL if member.domains else NONE_LABEL)


def _of_followed(followed: Followed) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "ksmrun_followed_processes",
        "Attached programs whose new memory is marked (--follow).",
        value=followed.processes,
    )
    yield CounterMetricFamily(
        "ksmrun_follow_cpu_seconds", "CPU time of that.", value=followed.cpu_seconds
    )
    yield GaugeMetricFamily(
        "ksmrun_follow_stop_seconds_max",
        "Longest time for which marking stopped one of them.",
        value=followed.stopped_ns_max / 1e9,
    )
