"""All processes that merge on this host, whoever made them: by prctl, madvise or ksmrun's shim."""

from __future__ import annotations

from collections.abc import Callable

from ksmrun.facts.identity import pinned
from ksmrun.facts.pids import all_pids
from ksmrun.facts.placement import placement
from ksmrun.facts.process import has_any_marked_memory, read_ksm_stat
from ksmrun.facts.reread import merges_not
from ksmrun.facts.stat import has_living_thread, read_program
from ksmrun.facts.text import read_or_raise
from ksmrun.facts.trust_traits import Details, read_traits
from ksmrun.model.trust import Merger, Mergers
from ksmrun.support.foreign import raise_shortage

# Listings of /proc until one has nothing new: a process that has ended may have left a child.
ROUNDS_MAX = 50
ID_SHOWN = 12


def find_mergers(details: Details, pids: Callable[[], list[int]] = all_pids) -> Mergers:
    """Return all merging processes, and those that could not be examined.

    Raises OSError if descriptors or memory ran out. details: see read_traits().
    """
    found: dict[int, Merger] = {}
    unread: set[int] = set()
    seen: set[int] = set()
    for _ in range(ROUNDS_MAX):
        new = set(pids()) - seen
        if not new:
            break
        for pid in sorted(new):
            try:
                # One read for most processes, and a claim is made with each launch of root's.
                merger = None if merges_not(pid) else read_merger(pid, details)
                if merger is not None:
                    found[pid] = merger
            except PermissionError:
                unread.add(pid)
            # ESRCH: it ended between two reads.
            except OSError as error:
                raise_shortage(error)
        seen |= new
    else:
        unread |= set(pids()) - seen
    return Mergers(tuple(found[pid] for pid in sorted(found)), tuple(sorted(unread)))


def read_merger(pid: int, details: Details) -> Merger | None:
    """Return a process; None if it does not merge. Raises OSError: ended or another user's.

    Its folder is held open: once it has ended, a reused PID is not read in its place.
    """
    with pinned(pid) as folder:
        stat = read_program(folder)
        if stat.is_kernel_thread or not has_living_thread(folder):
            return None
        ksm_stat = read_ksm_stat(folder)
        enabled_by = ksm_stat.enabled_by
        if ksm_stat.merge_any is None and enabled_by is None:
            # Before 6.14 no counter shows it until ksmd arrives.
            enabled_by = "seen" if has_any_marked_memory(folder) else None
        if enabled_by is None:
            return None
        traits = read_traits(folder, details)
        # While it ends, its program can no longer be read, and it merges no more.
        if traits.executable is None and not has_living_thread(folder):
            return None
        where = placement(read_or_raise(folder / "cgroup") or "")
        container = None if where.container is None else where.container.id[:ID_SHOWN]
        return Merger(
            pid,
            stat.start_ticks,
            stat.name,
            traits,
            enabled_by,
            (ksm_stat.merging_pages or 0) + (ksm_stat.zero_pages or 0),
            container or where.unit,
        )
