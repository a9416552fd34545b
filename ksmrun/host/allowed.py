"""Values that each tunable accepts, in words, and one of them as the kernel shows it. Pure."""

from __future__ import annotations

from pathlib import PurePath

from ksmrun.facts.text import parse_int
from ksmrun.model.errors import UsageError
from ksmrun.support.words import shortened

KHUGEPAGED_NAMES = ("max_ptes_none", "max_ptes_shared", "max_ptes_swap")
# As mm/ksm.c and mm/khugepaged.c check them.
UINT = f"a whole number from 0 to {(1 << 32) - 1}"
SWITCH = "0 or 1"
HUGE = "a whole number, less than the pages in a huge page (512 with pages of 4 KiB)"
ALLOWED = {
    **dict.fromkeys(
        ("pages_to_scan", "sleep_millisecs", "stable_node_chains_prune_millisecs"), UINT
    ),
    **dict.fromkeys(("merge_across_nodes", "use_zero_pages", "smart_scan"), SWITCH),
    **dict.fromkeys(KHUGEPAGED_NAMES, HUGE),
    "run": "0 (stop), 1 (merge) or 2 (unmerge)",
    "max_page_sharing": "a whole number, 2 or more",
    "advisor_mode": "none or scan-time",
    "cpus": "CPUs that are online, such as 0 or 2-3",
    "nice": "a whole number from -20 to 19",
    "policy": "normal, batch or idle",
    "max_map_count": f"a whole number from 0 to {(1 << 31) - 1}",
}


def allowed(name: str) -> str:
    """Return the values that the kernel takes for this tunable."""
    return ALLOWED.get(PurePath(name).name, "a whole number, 0 or more")


def canonical(name: str, wanted: str, current: str) -> str:
    """Return the value as the kernel will show it. Raises UsageError for another kind of value."""
    number = parse_int(wanted.removeprefix("+"))
    if number is not None:
        return str(number)
    if parse_int(current) is not None:
        raise UsageError(f"{name}={shortened(wanted)} is not a number", f"give {allowed(name)}")
    if not wanted.replace("-", "").replace("_", "").isalnum() or not wanted.isascii():
        raise UsageError(f"{name}={shortened(wanted)} is not a word", f"give {allowed(name)}")
    return wanted
