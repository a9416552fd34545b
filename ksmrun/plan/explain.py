"""Reasons why a process's memory does not merge, or not more of it, with figures. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from ksmrun.model.explain import Cause, Counters, MemoryKind, ProcessLook, Sampled
from ksmrun.plan.doctor import pages_per_second
from ksmrun.support.unitname import short_name
from ksmrun.support.units import MIB, duration

# Causes of less than this share of the memory, and of less than a MiB, are not reported.
NOTABLE_SHARE, NOTABLE_BYTES = 0.05, 1 << 20
# ksmd has been through when it has seen this share of the marked memory: the rest is new.
VISITED_SHARE = 0.95
# A page merges in the second full scan that sees it unchanged; the third shows that no more follow.
SETTLING_SCANS = 3
ESTIMATE = "sudo ksmrun estimate"


def explain(look: ProcessLook, obstacle: tuple[str, str] | None = None) -> tuple[Cause, ...]:
    """Return causes: first what keeps everything from merging, then by the amount of memory.

    obstacle: (what, todo) if `ksmrun run` could not make it merge either.
    """
    before, after = look.before, look.after
    if before is None or after is None:
        return (_forbidden(look),)
    whole = (*_flag(look, obstacle), *_ksmd(look, after))
    parts = (*_kinds(look), *_scanned(look, before, after))
    notable = max(NOTABLE_BYTES, NOTABLE_SHARE * look.total("rss_bytes"))
    shown = [cause for cause in parts if cause.size_bytes is None or cause.size_bytes >= notable]
    return (*whole, *sorted(shown, key=lambda cause: -(cause.size_bytes or 0)))


def scans_seen(before: Counters, after: Counters) -> int | None:
    """Return the full scans completed in between; None if reset (run=2) or not counted."""
    first, last = before.ksm.full_scans, after.ksm.full_scans
    return None if first is None or last is None or last < first else last - first


def is_settled(look: ProcessLook, before: Counters, after: Counters) -> bool:
    """Return whether ksmd has scanned all of it often enough, as far as this interval shows."""
    if _unvisited_bytes(look, after) > (1 - VISITED_SHARE) * look.total("marked_bytes"):
        return False
    seen = scans_seen(before, after)
    if seen is not None and seen >= SETTLING_SCANS:
        return after.merged_pages <= before.merged_pages * 1.01 + 1
    return (after.ksm.full_scans or 0) >= SETTLING_SCANS and (
        after.merged_pages <= before.merged_pages and look.age_seconds >= _settling_seconds(after)
    )


def _forbidden(look: ProcessLook) -> Cause:
    owner = look.identity.user or "its owner"
    who = "root" if owner == "root" else f"{owner} and root"
    return Cause(
        "permission",
        None,
        f"only {who} can read its counters and maps, and not from inside a container",
        f"sudo ksmrun explain {look.identity.pid}, on the host",
    )


def _flag(look: ProcessLook, obstacle: tuple[str, str] | None) -> Iterator[Cause]:
    if look.enabled_by is not None:
        return
    found = "it has no merge flag (prctl), and no memory marked by madvise"
    if obstacle is not None:
        found, todo = f"{found}; {obstacle[0]}", obstacle[1]
    else:
        todo = _how_to_start(look)
    yield Cause("flag missing", None, found, f"sudo ksmrun attach {look.identity.pid}, or {todo}")


def _how_to_start(look: ProcessLook) -> str:
    """Return the way that lasts: what is attached merges only until the process ends."""
    who = look.identity
    if who.engine in ("docker", "podman", "containerd", "cri-o"):
        return f"start the container by the runtime of `ksmrun wrap runtime {who.engine}`"
    if who.unit is not None and who.unit.endswith(".service") and "/" not in who.unit:
        return f"sudo ksmrun wrap unit --now {shlex.quote(short_name(who.unit))}"
    return "start it with `ksmrun run -- COMMAND`"


def _ksmd(look: ProcessLook, after: Counters) -> Iterator[Cause]:
    run, kept = after.ksm.run, after.merged_pages
    page_bytes = after.ksm.page_bytes
    if not after.ksm.present:
        found = "this kernel has no KSM, or /sys is not mounted"
        yield Cause("no KSM", None, found, "boot a kernel with CONFIG_KSM=y")
    elif run == 2:
        found = "ksmd unmerges what it merged (run=2), and merges nothing"
        yield Cause("ksmd unmerges", None, found, "sudo ksmrun host on")
    elif run != 1:
        found = (
            f"ksmd does not scan (run={run}; the kernel does not show since when). "
            f"{kept * page_bytes / MIB:.1f} MiB stay merged until they are written to"
        )
        yield Cause("ksmd off", None, found, "sudo ksmrun host on")
    elif after.ksm.number("pages_to_scan") == 0:
        found = "ksmd is on, but scans nothing (pages_to_scan=0)"
        yield Cause("ksmd off", None, found, "sudo ksmrun host set pages_to_scan=100")
    if (look.numa_nodes or 1) > 1 and after.ksm.number("merge_across_nodes") == 0:
        found = f"equal pages on different ones of {look.numa_nodes} memory nodes stay apart"
        yield Cause("NUMA", None, found, "sudo ksmrun host set merge_across_nodes=1")


def _kinds(look: ProcessLook) -> Iterator[Cause]:
    """Yield what KSM does not scan, or scans differently."""
    shared = look.kinds.get("shared", MemoryKind())
    yield Cause(
        "shared memory",
        shared.rss_bytes,
        f"{shared.rss_bytes / MIB:.1f} MiB in {shared.vmas} maps of shared memory (memfd, shm, "
        "MAP_SHARED): KSM merges only anonymous memory",
        "nothing, unless the program can use private memory",
    )
    hugetlb = look.kinds.get("hugetlb", MemoryKind())
    yield Cause(
        "hugetlb pages",
        hugetlb.size_bytes,
        f"{hugetlb.size_bytes / MIB:.1f} MiB of maps of hugetlbfs, which KSM leaves alone",
        "let the program use ordinary pages",
    )
    swap_bytes = look.total("swap_bytes")
    yield Cause(
        "swap",
        swap_bytes,
        f"{swap_bytes / MIB:.1f} MiB are in swap: KSM merges only what is in memory",
        "free memory, or swapoff once all fits",
    )
    huge_bytes = look.total("marked_huge_bytes")
    yield Cause(
        "huge pages",
        huge_bytes,
        f"{huge_bytes / MIB:.1f} MiB are in huge pages, which KSM splits only where it finds an "
        "equal page in them",
        "compare with `ksmrun run --thp=off`",
    )
    if look.enabled_by is not None:
        rest = look.total("anonymous_bytes") - look.total("marked_bytes")
        yield Cause(
            "not marked",
            rest,
            f"{rest / MIB:.1f} of {look.total('anonymous_bytes') / MIB:.1f} MiB of anonymous "
            "memory are in maps that are not marked for merging",
            "start it with `ksmrun run`, which marks all that can be"
            if look.enabled_by == "madvise"
            else "nothing: the kernel excludes such maps, or the program does",
        )


def _scanned(look: ProcessLook, before: Counters, after: Counters) -> Iterator[Cause]:
    """Yield what ksmd scans and does not merge."""
    if look.enabled_by is None or not after.ksm.present:
        return
    marked, page_bytes = look.total("marked_bytes"), after.ksm.page_bytes
    unvisited, volatile = _unvisited_bytes(look, after), 0
    if look.sampled is not None and look.sampled.pages:
        volatile = marked * look.sampled.changed // look.sampled.pages
        yield _volatile(look, after, look.sampled, volatile)
    left = max(0, marked - (after.merging_pages or 0) * page_bytes - volatile)
    if after.ksm.run != 1 or after.ksm.number("pages_to_scan") == 0:
        return
    if not is_settled(look, before, after):
        yield _not_settled(look, before, after, max(unvisited, left))
        return
    yield Cause(
        "unique data",
        left,
        f"{left / MIB:.1f} MiB were scanned, do not change, and equal no other page that KSM knows",
        f"`{ESTIMATE} {look.identity.pid}` shows what could merge; pages full of pointers become "
        "equal with `ksmrun run --layout shared`",
    )
    yield from _smart_scan(before, after, left)


def _volatile(look: ProcessLook, after: Counters, sampled: Sampled, size_bytes: int) -> Cause:
    unmerged = max(0, (after.rmap_items or 0) - after.merged_pages)
    return Cause(
        "volatile pages",
        size_bytes,
        f"{sampled.changed / sampled.pages:.0%} of {sampled.pages} sampled pages changed within "
        f"{look.seconds:g} s; KSM merges pages that stay the same from one full scan to the "
        f"next. It keeps metadata for {unmerged} pages that did not merge",
        "nothing, or a program that writes less",
    )


def _not_settled(look: ProcessLook, before: Counters, after: Counters, size_bytes: int) -> Cause:
    marked_pages = look.total("marked_bytes") // after.ksm.page_bytes
    seen = scans_seen(before, after)
    merged = after.merged_pages - before.merged_pages
    parts = [f"ksmd has looked at {_visited_pages(after)} of {marked_pages} marked pages"]
    if seen is not None:
        parts.append(f"full scans in {look.seconds:g} s: {seen}, merged pages: {merged:+d}")
    parts.append(
        f"a page merges in the second full scan that finds it unchanged, and one takes at least "
        f"{duration(_full_scan_seconds(after))}"
    )
    never = seen is not None and seen > 1 and not after.rmap_items and marked_pages
    return Cause(
        "never scanned" if never else "not settled",
        size_bytes,
        "; ".join(parts),
        "Linux 6.7 to 6.9.2 never scan a launched program: boot 6.12 or later"
        if never
        else "wait, or raise the rate: sudo ksmrun host set pages_to_scan=N",
    )


def _smart_scan(before: Counters, after: Counters, size_bytes: int) -> Iterator[Cause]:
    """Yield the effect of skip_age() (mm/ksm.c): it skips unmerged pages in up to eight scans."""
    first, last = before.ksm.number("pages_skipped"), after.ksm.number("pages_skipped")
    if after.ksm.number("smart_scan") != 1 or first is None or last is None or last <= first:
        return
    yield Cause(
        "smart scan",
        size_bytes,
        f"smart_scan skipped {last - first} pages of this host in that time: one that did not "
        "merge is looked at in every second to ninth full scan, so what becomes equal now merges "
        "later, and two equal copies started many full scans apart may never meet in one",
        "wait, or compare with: sudo ksmrun host set smart_scan=0",
    )


def _visited_pages(after: Counters) -> int:
    return after.rmap_items or 0


def _unvisited_bytes(look: ProcessLook, after: Counters) -> int:
    """Return the marked resident bytes of pages that ksmd has no record of yet."""
    visited = _visited_pages(after) - (after.zero_pages or 0)
    return max(0, look.total("marked_bytes") - max(visited, 0) * after.ksm.page_bytes)


def _settling_seconds(after: Counters) -> float:
    return SETTLING_SCANS * _full_scan_seconds(after)


def _full_scan_seconds(after: Counters) -> float:
    """Return the minimum time of a full scan of all known pages at the present rate."""
    names = ("pages_shared", "pages_sharing", "pages_unshared", "pages_volatile")
    pages = sum(after.ksm.number(name) or 0 for name in names)
    rate = pages_per_second(after.ksm)
    return pages / rate if rate else 0.0
