"""Values that each tunable accepts, in words. Pure."""

from __future__ import annotations

from pathlib import PurePath

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
    "max_map_count": f"a whole number from 0 to {(1 << 31) - 1}",
}


def allowed(name: str) -> str:
    """Return the values that the kernel takes for this tunable."""
    return ALLOWED.get(PurePath(name).name, "a whole number, 0 or more")
