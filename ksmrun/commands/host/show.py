"""`ksmrun host show`: KSM's tunables and counters, their meaning, and ksmd's present work."""

from __future__ import annotations

from dataclasses import asdict

from ksmrun.commands.declare import Registry, declare
from ksmrun.commands.output import mib, print_json, print_line, print_note, print_table
from ksmrun.commands.table import Column, style_of, wants_json
from ksmrun.facts.ksm import ROOT, require_ksm
from ksmrun.facts.ksmd import find_ksmd, read_scheduling
from ksmrun.host.other_tuners import advisor, boot_files, running_tuners
from ksmrun.host.tunables import tunable_names
from ksmrun.model.ksm import KsmFacts
from ksmrun.model.tuning import ScanRate
from ksmrun.observe.scan_rate import dedup
from ksmrun.observe.scanning import mergeable_memory, scan_rate
from ksmrun.options.host import SHOW, ShowOptions
from ksmrun.options.output import Format
from ksmrun.support.units import MIB

SCHEMA = "ksmrun-host-2"
UNITS = {
    "pages_to_scan": "pages a batch",
    "sleep_millisecs": "ms between batches",
    "stable_node_chains_prune_millisecs": "ms",
    "advisor_max_cpu": "% of a core",
    "advisor_target_scan_time": "s a full scan",
    "advisor_min_pages_to_scan": "pages a batch",
    "advisor_max_pages_to_scan": "pages a batch",
    "max_page_sharing": "places a page",
    "full_scans": "full scans",
    "stable_node_chains": "chains",
    "stable_node_dups": "pages",
}
# Counters of pages, shown in MiB too.
PAGE_COUNTERS = (
    "pages_shared",
    "pages_sharing",
    "pages_unshared",
    "pages_volatile",
    "pages_scanned",
    "pages_skipped",
    "ksm_zero_pages",
)
MEANINGS = {
    "run": {0: "off", 1: "on", 2: "unmerging"},
    "merge_across_nodes": {0: "off", 1: "on"},
    "use_zero_pages": {0: "off", 1: "on"},
    "smart_scan": {0: "off", 1: "on"},
}
# mm/ksm.c, its initial values.
DEFAULTS: dict[str, int | str] = {
    "run": 0,
    "pages_to_scan": 100,
    "sleep_millisecs": 20,
    "max_page_sharing": 256,
    "merge_across_nodes": 1,
    "use_zero_pages": 0,
    "smart_scan": 1,
    "stable_node_chains_prune_millisecs": 2000,
    "advisor_mode": "none",
    "advisor_max_cpu": 70,
    "advisor_target_scan_time": 200,
    "advisor_min_pages_to_scan": 500,
    "advisor_max_pages_to_scan": 30000,
}
# Documentation/admin-guide/mm/ksm.rst, and mm/ksm.c where that is not detailed enough.
PURPOSES = {
    "run": "0: off, 1: on, 2: unmerge everything",
    "pages_to_scan": "size of a batch: ksmd's speed, and its CPU time",
    "sleep_millisecs": "pause of ksmd after each batch",
    "max_page_sharing": "places that may share one page; for more of them another is kept",
    "merge_across_nodes": "whether pages of two NUMA nodes may merge",
    "use_zero_pages": "merge pages of zeros with the kernel's own, which needs no records",
    "smart_scan": "look at pages that did not merge in every second to ninth full scan only",
    "stable_node_chains_prune_millisecs": "how often lists of pages kept repeatedly are cleaned up",
    "advisor_mode": "scan-time sets pages_to_scan so that a full scan takes the target time",
    "advisor_max_cpu": "most that the advisor lets ksmd take",
    "advisor_target_scan_time": "time of a full scan that the advisor aims at",
    "advisor_min_pages_to_scan": "the advisor's first rate; later it takes 10 % of a core or more",
    "advisor_max_pages_to_scan": "largest pages_to_scan of the advisor",
    "full_scans": "rounds over all mergeable memory so far; a page merges in its second",
    "general_profit": "what is saved, ksmd's records subtracted",
    "ksm_zero_pages": "pages of zeros merged with the kernel's zero page",
    "pages_scanned": "scanned so far",
    "pages_shared": "pages kept, each for two places or more",
    "pages_sharing": "further places that share them: what is saved",
    "pages_skipped": "left out by smart_scan so far",
    "pages_unshared": "scanned, with no equal one so far",
    "pages_volatile": "changed since the previous full scan",
    "stable_node_chains": "contents that are kept more than once, for max_page_sharing",
    "stable_node_dups": "copies of these contents, in total",
}


def register(registry: Registry) -> None:
    """Add the command."""
    declare(registry, SHOW, show)


def show(options: ShowOptions) -> None:
    """Read, and print tables or JSON."""
    style = style_of(options)
    rate = scan_rate(options.watch_seconds) if options.watch_seconds else None
    ksm = require_ksm()
    tunables = tunable_names(ROOT)
    others = [*running_tuners(), *advisor(ROOT), *boot_files(ROOT)]
    scheduling = read_scheduling(find_ksmd(), ROOT)
    if wants_json(options):
        print_json(
            SCHEMA,
            tunables={name: ksm.values.get(name) for name in tunables},
            defaults={name: DEFAULTS.get(name) for name in tunables},
            counters={name: v for name, v in ksm.values.items() if name not in tunables},
            page_bytes=ksm.page_bytes,
            saved_bytes=_saved_bytes(ksm),
            dedup_factor=dedup(ksm),
            profit_bytes=ksm.number("general_profit"),
            ksmd=None
            if rate is None
            else asdict(rate) | {"full_scan_seconds": _full_scan_seconds(rate)},
            ksmd_scheduling=None if scheduling is None else asdict(scheduling),
            others=[asdict(other) for other in others],
        )
        return
    rows = [[name, _shown(ksm, name), _default(ksm, name), _purpose(name)] for name in tunables]
    columns = [
        Column("tunable", "name"),
        Column("value", "fold"),
        Column("default", "left", 1),
        Column("what it is for", "fold"),
    ]
    print_table(columns, rows, style)
    print_line()
    counters = [name for name in ksm.values if name not in tunables]
    rows = [[name, _shown(ksm, name), _purpose(name)] for name in counters]
    columns = [
        Column("counter", "name"),
        Column("value", "fold"),
        Column("what it counts", "fold"),
    ]
    print_table(columns, rows, style)
    if style.format is Format.TABLE:
        print_line()
    factor = dedup(ksm)
    print_note(
        f"saved: {mib(_saved_bytes(ksm))} MiB"
        f"; dedup factor: {'-' if factor is None else f'{factor:.1f}'}"
        f"; profit, metadata subtracted: {mib(ksm.number('general_profit'))} MiB",
        style,
    )
    if rate is not None:
        print_note(_work(ksm, rate), style)
    if scheduling is not None and scheduling.unusual:
        print_note(f"ksmd runs {scheduling.unusual} (host tune --cpus, --nice, --idle)", style)
    for other in others:
        print_note(f"note: {other.what}; {other.todo}", style)


def _purpose(name: str) -> str:
    return PURPOSES.get(name, "see Documentation/admin-guide/mm/ksm.rst")


def _default(ksm: KsmFacts, name: str) -> str:
    """Return the default, or an empty text if it is the present value, as for most."""
    default = DEFAULTS.get(name)
    return "" if default is None or ksm.values.get(name) == default else f"not {default}"


def _work(ksm: KsmFacts, rate: ScanRate) -> str:
    """Describe ksmd's present work in one line."""
    words = [f"ksmd: {rate.cpu_share:.1%} of a core"]
    if rate.pages_per_second is not None:
        words.append(f"{rate.pages_per_second * ksm.page_bytes / MIB:.0f} MiB/s scanned")
    full_scan_seconds = _full_scan_seconds(rate)
    if full_scan_seconds is not None:
        words.append(
            f"a full scan takes {full_scan_seconds:.0f} s, the present one at most as long"
        )
    return ", ".join(words)


def _full_scan_seconds(rate: ScanRate) -> float | None:
    """Return the time of a full scan at this rate; None if ksmd is not scanning."""
    if not rate.pages_per_second:
        return None
    return mergeable_memory(looks=False).mergeable_pages / rate.pages_per_second


def _saved_bytes(ksm: KsmFacts) -> int | None:
    """Return the memory saved by merging, before its metadata: a page per place that shares one."""
    pages = ksm.merged_pages
    return None if pages is None else pages * ksm.page_bytes


def _shown(ksm: KsmFacts, name: str) -> str:
    value = ksm.values.get(name)
    if not isinstance(value, int):
        return "unreadable" if value is None else str(value)
    if name == "general_profit":
        return f"{value} bytes ({mib(value)} MiB)"
    if name in PAGE_COUNTERS:
        return f"{value} pages ({mib(value * ksm.page_bytes)} MiB)"
    if name in MEANINGS:
        return f"{value} ({MEANINGS[name].get(value, 'unknown')})"
    return f"{value} {UNITS.get(name, '')}".strip()
