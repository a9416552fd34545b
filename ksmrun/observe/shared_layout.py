"""Recognise programs with a shared address layout without the key that it was made from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ksmrun.facts.stat import Stat, read_stat
from ksmrun.support.foreign import raise_shortage

INIT_PID = 1
# Programs that are not position-independent are below, always at the same place.
CHOSEN_FROM = 1 << 32


def started_alike(pids: Iterable[int]) -> set[int]:
    """Return those that were started at the address of another: they share a layout.

    The kernel gives two programs the same one of 2^28 places only by chance (x86_64:
    arch_mmap_rnd()). Those that were forked have their parent's.
    """
    found: dict[int, set[int]] = {}
    for pid in pids:
        try:
            stat = read_stat(Path(f"/proc/{pid}"))
            start = _own_start(pid, stat, read_stat(Path(f"/proc/{stat.parent}")))
        except OSError as error:
            # It has ended, or is the first of this PID namespace.
            raise_shortage(error)
            continue
        if start is not None:
            found.setdefault(start, set()).add(pid)
    return {pid for alike in found.values() if len(alike) > 1 for pid in alike}


def _own_start(pid: int, stat: Stat, parent: Stat) -> int | None:
    """Return where the program's code begins; None if that may be inherited."""
    start = stat.image[0]
    if start < CHOSEN_FROM or start == parent.image[0]:
        return None
    # Init also adopts workers, whose parent had the same address.
    return None if stat.parent == INIT_PID and stat.session != pid else start
