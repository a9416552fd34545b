"""Put the processes of a sample into the trust domains of the host's file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ksmrun.facts.identity import pinned
from ksmrun.facts.stat import read_stat
from ksmrun.facts.text import read_text
from ksmrun.facts.trust_containers import ContainerReader
from ksmrun.facts.trust_file import read_trust
from ksmrun.facts.trust_mergers import read_merger
from ksmrun.facts.trust_traits import read_traits
from ksmrun.host.trust_state import read_trust_state
from ksmrun.model.errors import KsmrunError
from ksmrun.model.trust import TRUST_FILE, Member, Merger, Traits, Trust
from ksmrun.model.watch import TrustView, Watched, WatchState
from ksmrun.plan.trust import holder, member, members
from ksmrun.support.foreign import raise_shortage

# A process may change its users; that it moved to another cgroup is seen with each sample.
TRAITS_SECONDS = 60.0
Say = Callable[[str, str], None]


@dataclass(frozen=True)
class _Kept:
    """Traits of a process, with what they were read for and when."""

    start_ticks: int
    image: tuple[int, ...]
    cgroup: str | None
    traits: Traits
    seconds: float


class TrustWatch:
    """Reader of file and state, that keeps what it knows of processes between samples."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._trust: Trust | None = None
        self._mark: tuple[int, ...] | None = None
        self._containers = ContainerReader(asks=False)
        self._kept: dict[int, _Kept] = {}
        self._wrong = ""

    def look(self, state: WatchState) -> TrustView | None:
        """Return who is in which domain; None without a trust file that can be used."""
        wrong = self._load()
        claimed, is_sure = None, True
        if self._trust is not None and not wrong:
            try:
                found = read_trust_state()
                claimed = None if found is None else found.domain
            except KsmrunError as error:
                wrong, is_sure = str(error), False
        if wrong and wrong != self._wrong:
            self._say("error", wrong)
        self._wrong = wrong
        if self._trust is None:
            return None
        merging = [each for each in state.processes if each.enabled_by is not None]
        placed = members(self._trust, self._mergers(merging, state.host.seconds))
        return TrustView(self._trust.names, placed, holder(placed, claimed), is_sure)

    def again(self, pid: int) -> Member | None:
        """Return where this process is now; None if it ended, or merges no more."""
        try:
            merger = read_merger(pid, self._containers)
        except OSError as error:
            raise_shortage(error)
            return None
        return None if merger is None or self._trust is None else member(self._trust, merger)

    def _load(self) -> str:
        """Read the file if it is another one. Return the error; a file in error has no domains.

        It is read again each time then: descriptors or a directory of users may come back.
        """
        mark = _mark_of(TRUST_FILE)
        if mark == self._mark:
            return ""
        self._mark, self._trust = None, None
        try:
            self._trust = read_trust()
        except KsmrunError as error:
            return str(error)
        self._mark = mark
        asks = self._trust is not None and self._trust.asks_engines
        self._containers = ContainerReader(asks=asks)
        self._kept.clear()
        return ""

    def _mergers(self, processes: Iterable[Watched], now: float) -> Iterator[Merger]:
        kept: dict[int, _Kept] = {}
        for each in processes:
            try:
                found = kept[each.pid] = self._traits(each, now)
            except OSError:
                # It ended; or descriptors ran out, and the next sample looks again.
                continue
            who = each.identity
            yield Merger(
                who.pid,
                who.start_ticks,
                who.name,
                found.traits,
                each.enabled_by or "",
                (each.merging_pages or 0) + (each.zero_pages or 0),
                who.container or who.unit,
            )
        self._kept = kept
        ids = {each.traits.container.id for each in kept.values() if each.traits.container}
        self._containers.keep(ids)

    def _traits(self, process: Watched, now: float) -> _Kept:
        """Return the process's traits, which are read again if its cgroup or program is another."""
        start_ticks = process.identity.start_ticks
        cgroup = read_text(Path(f"/proc/{process.pid}/cgroup"))
        before = self._kept.get(process.pid)
        if (
            before is not None
            and (before.start_ticks, before.image) == (start_ticks, process.image)
            and before.cgroup == cgroup
            and now < before.seconds + TRAITS_SECONDS
            and before.traits.is_known
        ):
            return before
        with pinned(process.pid) as folder:
            if read_stat(folder).start_ticks != start_ticks:
                raise ProcessLookupError("its PID is another's now")
            traits = read_traits(folder, self._containers)
        return _Kept(start_ticks, process.image, cgroup, traits, now)


def _mark_of(file: Path) -> tuple[int, ...] | None:
    """Return what changes with the file, also with its owner and mode; None if there is none."""
    try:
        own, above = file.lstat(), file.parent.stat()
    except OSError:
        return None
    return (
        own.st_ino,
        own.st_dev,
        own.st_mtime_ns,
        own.st_ctime_ns,
        own.st_size,
        above.st_ctime_ns,
    )
