"""Allocators that replace malloc: how equal they leave copies, and what to do. Pure.

Equal pages of 6 copies of a game world in C++ (tests/bench/allocators.py), Debian 12, x86_64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ksmrun.model.frozen import dataclass
from ksmrun.plan.doctor import CheckRow

ITEM = "allocator"


@dataclass(frozen=True)
class Allocator:
    """Allocator with the equal share of pages, with one layout, by who does the work.

    one_thread_share, threads_share: one thread; four, each with work of its own. setting: what
    keeps the heap of mimalloc in the layout; with_setting_shares: the same two with it.
    """

    name: str
    one_thread_share: float
    threads_share: float
    setting: tuple[str, str] | None = None
    with_setting_shares: tuple[float, float] | None = None


# By the start of the library's name.
ALLOCATORS = {
    "libmimalloc.so": Allocator(
        "mimalloc", 0.51, 0.48, ("MIMALLOC_RESERVE_OS_MEMORY", "2G"), (1.0, 0.89)
    ),
    "libjemalloc.so": Allocator("jemalloc", 1.0, 0.63),
    "libtcmalloc": Allocator("tcmalloc", 1.0, 0.42),
    "libtbbmalloc_proxy.so": Allocator("TBB malloc", 1.0, 0.27),
}


def allocator_row(libraries: Sequence[str], environment: Mapping[str, str]) -> CheckRow | None:
    """Return the row of `ksmrun check`; None if malloc is libc's, or what the program contains."""
    for library in libraries:
        for prefix, allocator in ALLOCATORS.items():
            if library.startswith(prefix):
                return _row(allocator, library, environment)
    return None


def _row(allocator: Allocator, library: str, environment: Mapping[str, str]) -> CheckRow:
    shares = (allocator.one_thread_share, allocator.threads_share)
    status, todo = "ok", ""
    if allocator.setting is not None and allocator.with_setting_shares is not None:
        name, value = allocator.setting
        if name in environment:
            shares = allocator.with_setting_shares
        else:
            status = "warn"
            one, threads = allocator.with_setting_shares
            todo = (
                f"with --layout=shared set {name}={value}, or more if the heap is larger: its heap "
                f"then has the group's addresses, and {one:.0%} and {threads:.0%} are equal"
            )
    found = (
        f"{allocator.name} ({library}): of copies with --layout=shared {shares[0]:.0%} of the heap "
        f"is equal if one thread allocates, about {shares[1]:.0%} if four do, less if they take "
        "work from a queue (ksmrun help runtimes)"
    )
    return CheckRow(ITEM, status, found, todo)
