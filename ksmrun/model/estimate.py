"""Equal pages of processes, and what merging them would save."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Frames:
    """Page frames, counted by their content; each is in one of the first five fields.

    volatile: changed between two readings. kept: frames left when everything equal has merged.
    """

    zero: int
    unique: int
    equal_within: int
    equal_across: int
    volatile: int
    kept: float


@dataclass(frozen=True)
class Contents:
    """Number of different page contents of a process, by how many of the processes have them."""

    distinct: int
    in_one: int
    in_two: int
    in_three: int


@dataclass(frozen=True)
class KindPages:
    """Pages of one kind of memory. pages: mapped; frames: frames that they occupy now.

    layout: the same as if all processes had one address layout; None if not computed.
    """

    pages: int
    frames: int
    plain: Frames
    layout: Frames | None


@dataclass(frozen=True)
class ProcessPages:
    """Pages of one process. A frame counts for the first process that maps it."""

    pid: int
    pages: int
    frames: int
    swapped_pages: int
    plain: Contents
    layout: Contents | None


@dataclass(frozen=True)
class Unread:
    """Process that could not be read, and why."""

    pid: int
    reason: str


@dataclass(frozen=True)
class Estimate:
    """Estimate for a set of processes. frames_known: the kernel showed which pages share a frame.

    That takes CAP_SYS_ADMIN; without it pages shared by fork are guessed by place and content.
    untouched_pages map the kernel's zero page and take no memory. own_peak_bytes: memory that the
    estimate itself used.
    """

    page_bytes: int
    frames_known: bool
    kinds: dict[str, KindPages]
    processes: tuple[ProcessPages, ...]
    unread: tuple[Unread, ...]
    untouched_pages: int
    read_pages: int
    read_seconds: float
    volatile_after_seconds: float
    own_peak_bytes: int

    @property
    def pages(self) -> int:
        """Number of pages examined."""
        return sum(kind.pages for kind in self.kinds.values())

    @property
    def frames(self) -> int:
        """Frames that these pages occupy now."""
        return sum(kind.frames for kind in self.kinds.values())

    @property
    def kept_plain(self) -> float:
        """Frames left when merging is done."""
        return sum(kind.plain.kept for kind in self.kinds.values())

    @property
    def kept_layout(self) -> float | None:
        """Frames left when merging is done under one address layout; None if not computed."""
        frames = [kind.layout for kind in self.kinds.values()]
        if any(each is None for each in frames):
            return None
        # Pages that are equal now stay equal.
        return min(sum(each.kept for each in frames if each is not None), self.kept_plain)

    def copy_pages(self, *, layout: bool) -> float | None:
        """Return the pages that one more such process needs; None for fewer than two processes."""
        contents = [each.layout if layout else each.plain for each in self.processes]
        known = [each.in_one for each in contents if each is not None]
        return sum(known) / len(known) if len(known) > 1 else None


@dataclass(frozen=True)
class Prediction:
    """Memory of a program's processes that merging leaves, in bytes.

    Half widths are those of 95 % intervals, 0 if every process was examined. copy: what one more
    process would take.
    """

    program: str
    processes: int
    looked_at: int
    now_bytes: float
    kept_bytes: float
    kept_half_width_bytes: float
    layout_kept_bytes: float | None
    layout_half_width_bytes: float | None
    copy_bytes: float | None
    copy_layout_bytes: float | None
    process_bytes: float

    @property
    def request_bytes(self) -> float | None:
        """Memory to reserve for each of these processes, as a scheduler's request.

        Together they leave room for one that is unmerged, as each is at its start. None for fewer
        than two processes.
        """
        return self._request(self.kept_bytes + self.kept_half_width_bytes, self.copy_bytes)

    @property
    def request_layout_bytes(self) -> float | None:
        """The same under one address layout."""
        if self.layout_kept_bytes is None:
            return None
        kept = self.layout_kept_bytes + (self.layout_half_width_bytes or 0.0)
        return self._request(kept, self.copy_layout_bytes)

    def _request(self, kept_bytes: float, copy_bytes: float | None) -> float | None:
        if copy_bytes is None:
            return None
        unmerged = max(0.0, self.process_bytes - copy_bytes)
        return min((kept_bytes + unmerged) / self.processes, self.process_bytes)
