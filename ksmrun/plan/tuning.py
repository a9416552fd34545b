"""Compute the tunables of ksmd for a given target. Pure.

A batch of n pages takes n * cost, then ksmd sleeps (mm/ksm.c: ksm_scan_thread()): a full scan of M
pages takes M / n * (sleep + n * cost), and uses n * cost / (sleep + n * cost) of a core.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ksmrun.model.errors import KsmrunError
from ksmrun.model.ksm import HostFacts, KsmFacts
from ksmrun.model.tuning import Intent, Knob, Memory, Profile, ScanCost, TunePlan
from ksmrun.support.units import GIB

# The kernel's defaults.
SLEEP_MILLISECS, PAGES_TO_SCAN = 20, 100
LOW_ALREADY = "see what else takes the CPU (top): ksmd's rate is not above the kernel's default"
# A page costs this at least, by what was measured on other hosts.
PAGE_SECONDS_MIN = 5e-7
WHOLE_CORE_SHARE = 0.9
PROFILES = {
    Profile.GENTLE: Intent(cpu_share_max=0.05),
    Profile.BALANCED: Intent(cpu_share_max=0.2),
    Profile.FAST: Intent(cpu_share_max=0.7),
}
# Minimum of the kernel's advisor, whatever its target (KSM_ADVISOR_MIN_CPU).
ADVISOR_SHARE_MIN = 0.1
# Share of the sampled pages.
ZERO_SHARE_MIN = 0.02
# Two copies may never be scanned in the same full scan; of more copies some pair always is.
FEW_PROCESSES = 3
RATE_MAX = 1_000_000
# Assumed if it cannot be measured: other hosts had 0.5 to 7 microseconds.
ASSUMED = ScanCost(3e-6, "assumed, as nothing was measured yet")


def tuned(host: HostFacts, memory: Memory, cost: ScanCost, intent: Intent) -> TunePlan:
    """Return the plan for a target. Raises KsmrunError if no setting reaches it."""
    share_max = 1.0 if intent.cpu_share_max is None else intent.cpu_share_max
    scan_seconds = memory.mergeable_pages * cost.seconds_per_page
    ksm = host.ksm
    if intent.full_scan_seconds is not None and scan_seconds > intent.full_scan_seconds * share_max:
        least = scan_seconds / share_max
        raise KsmrunError(
            f"a full scan of {_gib(memory, ksm):.1f} GiB takes {scan_seconds:.0f} s of CPU here "
            f"({cost.seconds_per_page * 1e6:.1f} µs a page, {cost.source}): "
            f"within {intent.full_scan_seconds:.0f} s that is "
            f"{scan_seconds / intent.full_scan_seconds:.0%} of a core, and {share_max:.0%} is the "
            "limit",
            f"ask for --scan-time {least + 1:.0f}s or more"
            + (", or a higher --max-cpu" if share_max < 1 else ""),
        )
    by_advisor = "advisor_mode" in ksm.values and share_max >= ADVISOR_SHARE_MIN
    if intent.full_scan_seconds is not None and by_advisor:
        knobs = _by_advisor(ksm, intent.full_scan_seconds, share_max, cost)
        cpu_share = max(scan_seconds / intent.full_scan_seconds, ADVISOR_SHARE_MIN)
        full_scan_seconds = scan_seconds / cpu_share
    else:
        knobs, pages = _by_rate(ksm, memory, cost, intent, share_max)
        busy_seconds = pages * cost.seconds_per_page
        sleep_seconds = SLEEP_MILLISECS / 1e3
        cpu_share = busy_seconds / (busy_seconds + sleep_seconds)
        full_scan_seconds = memory.mergeable_pages / pages * (busy_seconds + sleep_seconds)
    knobs = [*knobs, _knob(ksm, "run", 1, "ksmd is off")]
    return TunePlan(tuple(knobs), full_scan_seconds, cpu_share, tuple(_advice(host, memory)))


def thread_knobs(
    now: Mapping[str, str], cpus: str | None, nice: int | None, *, idle: bool
) -> tuple[Knob, ...]:
    """Return what to set of the thread ksmd. now: present values, by name."""
    wanted = []
    if cpus is not None:
        wanted.append(("ksmd/cpus", cpus, "the CPUs that it may use"))
    if nice is not None:
        # With the policy idle the kernel heeds no nice value (sched(7)).
        wanted.append(("ksmd/policy", "normal", "so that its nice value counts"))
        wanted.append(("ksmd/nice", str(nice), "19 gives it the least beside other programs"))
    if idle:
        wanted.append(("ksmd/policy", "idle", "it runs where a CPU has nothing else to do"))
    return tuple(Knob(name, now.get(name, "unknown"), then, why) for name, then, why in wanted)


def whole_core(sleep_millisecs: int | None, pages_to_scan: int | None) -> bool:
    """Return whether ksmd takes (nearly) a whole core while there is anything to scan."""
    if sleep_millisecs is None or pages_to_scan is None:
        return False
    busy_seconds = pages_to_scan * PAGE_SECONDS_MIN
    return busy_seconds >= WHOLE_CORE_SHARE * (sleep_millisecs / 1e3 + busy_seconds)


def calmer(
    sleep_millisecs: int | None, pages_to_scan: int | None, advisor: str | None
) -> str | None:
    """Return the command that makes ksmd take less; None if its rate is the default or lower."""
    sleep = None if sleep_millisecs is None else max(sleep_millisecs, SLEEP_MILLISECS)
    pages = pages_to_scan
    # Without a pause a smaller batch alone makes no difference.
    if pages is not None and (sleep == sleep_millisecs or whole_core(sleep, pages)):
        pages = min(pages, PAGES_TO_SCAN)
    if (sleep, pages) == (sleep_millisecs, pages_to_scan):
        return None
    settings = []
    if pages is not None and advisor not in (None, "none"):
        # It sets the rate itself, and the kernel refuses another; without it the rate is the
        # default (mm/ksm.c: set_advisor_defaults()).
        settings.append("advisor_mode=none")
        pages, pages_to_scan = min(pages, PAGES_TO_SCAN), PAGES_TO_SCAN
    if sleep != sleep_millisecs:
        settings.append(f"sleep_millisecs={sleep}")
    if pages != pages_to_scan:
        settings.append(f"pages_to_scan={pages}")
    return f"sudo ksmrun host set {' '.join(settings)}"


def _gib(memory: Memory, ksm: KsmFacts) -> float:
    return memory.mergeable_pages * ksm.page_bytes / GIB


def _knob(ksm: KsmFacts, name: str, value: int | str, why: str) -> Knob:
    return Knob(name, str(ksm.values.get(name)), str(value), why)


def _by_advisor(
    ksm: KsmFacts, full_scan_seconds: float, share_max: float, cost: ScanCost
) -> list[Knob]:
    # Its initial value, before it has completed a scan.
    sleep_seconds = (ksm.number("sleep_millisecs") or SLEEP_MILLISECS) / 1e3
    most = max(1, int(_pages_a_batch(share_max, cost, sleep_seconds)))
    wanted = {
        "advisor_target_scan_time": (
            max(1, round(full_scan_seconds)),
            "s a full scan, as asked for",
        ),
        "advisor_max_cpu": (round(share_max * 100), "% of a core at most"),
        "advisor_min_pages_to_scan": (
            min(ksm.number("advisor_min_pages_to_scan") or 500, most),
            "where it begins",
        ),
        "advisor_max_pages_to_scan": (
            max(ksm.number("advisor_max_pages_to_scan") or 30000, most),
            "what a full scan may need",
        ),
    }
    knobs = [_knob(ksm, name, value, why) for name, (value, why) in wanted.items()]
    why = (
        f"keeps the time of a full scan as memory grows, with {ADVISOR_SHARE_MIN:.0%} of a core or "
        "more"
    )
    return [*knobs, _knob(ksm, "advisor_mode", "scan-time", why)]


def _by_rate(
    ksm: KsmFacts, memory: Memory, cost: ScanCost, intent: Intent, share_max: float
) -> tuple[list[Knob], int]:
    sleep_seconds = SLEEP_MILLISECS / 1e3
    if intent.full_scan_seconds is None:
        pages = _pages_a_batch(share_max, cost, sleep_seconds)
        why = f"{share_max:.0%} of a core, at {cost.seconds_per_page * 1e6:.1f} µs a page"
    elif not memory.mergeable_pages:
        raise KsmrunError(
            "no program merges on this host now, so no rate can be derived from --scan-time",
            "start the programs first, give --max-cpu, or let `ksmrun monitor --auto` set the rate",
        )
    else:
        idle = intent.full_scan_seconds - memory.mergeable_pages * cost.seconds_per_page
        pages = memory.mergeable_pages * sleep_seconds / max(idle, 1e-3)
        why = f"a full scan of {_gib(memory, ksm):.1f} GiB in {intent.full_scan_seconds:.0f} s"
    batch = min(max(1, int(pages)), RATE_MAX)
    why_sleep = "ms between batches, as the rate assumes"
    knobs = [
        _knob(ksm, "sleep_millisecs", SLEEP_MILLISECS, why_sleep),
        _knob(ksm, "pages_to_scan", batch, why),
    ]
    if "advisor_mode" in ksm.values:
        knobs.insert(0, _knob(ksm, "advisor_mode", "none", "otherwise it sets the rate"))
    return knobs, batch


def _pages_a_batch(share: float, cost: ScanCost, sleep_seconds: float) -> float:
    if share >= 1:
        return RATE_MAX
    return min(share / (1 - share) * sleep_seconds / cost.seconds_per_page, RATE_MAX)


def _advice(host: HostFacts, memory: Memory) -> Iterator[tuple[str, str]]:
    ksm = host.ksm
    share = memory.zero_share
    if share is not None and share >= ZERO_SHARE_MIN and ksm.number("use_zero_pages") == 0:
        yield (
            f"{share:.0%} of the memory looked at are pages of zeros, which could merge with the "
            "kernel's zero page and need no records then",
            "sudo ksmrun host set use_zero_pages=1 (applies to what merges from then on)",
        )
    if ksm.number("smart_scan") == 1 and 0 < memory.processes <= FEW_PROCESSES:
        yield (
            f"with so few processes ({memory.processes}) smart_scan may keep equal pages apart "
            "for good: it looks at old ones in every ninth full scan only, and not in the same one",
            "sudo ksmrun host set smart_scan=0",
        )
    dups = ksm.number("stable_node_dups") or 0
    if dups * ksm.page_bytes > GIB // 16:
        yield (
            f"{dups} pages are kept twice or more, as at most {ksm.number('max_page_sharing')} "
            "places may share one (max_page_sharing)",
            "sudo ksmrun host set --unmerge max_page_sharing=1024",
        )
    if (host.numa_nodes or 1) > 1 and ksm.number("merge_across_nodes") == 1:
        yield (
            f"pages merge across {host.numa_nodes} NUMA nodes, so some programs read them "
            "from another node",
            "for speed before memory: sudo ksmrun host set --unmerge merge_across_nodes=0",
        )
    if host.thp_enabled == "always" and (host.khugepaged_max_ptes_shared or 0) > 0:
        yield (
            "huge pages are on for all (transparent_hugepage/enabled=always), and khugepaged "
            f"collapses ranges with up to {host.khugepaged_max_ptes_shared} merged pages, which "
            "unmerges them",
            "sudo ksmrun host set khugepaged/max_ptes_shared=0 khugepaged/max_ptes_none=0",
        )
