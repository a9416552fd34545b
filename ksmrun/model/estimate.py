"""What pages of processes have in common, and what merging would save of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Frames:
    """Frames of memory by what their content is; each is in one of the first five.

    volatile: changed between two looks. kept: how many are left when all that can has merged.
    """

    zero: int
    unique: int
    equal_within: int
    equal_across: int
    volatile: int
    kept: float


@dataclass(frozen=True)
class Contents:
    """Different contents of a process's pages, by how many of the processes have them."""

    distinct: int
    in_one: int
    in_two: int
    in_three: int


@dataclass(frozen=True)
class KindPages:
    """Of one kind of memory. pages: mapped; frames: what they take now. layout: as if all processes
    had one address layout; None where that was not looked at.
    """

    pages: int
    frames: int
    plain: Frames
    layout: Frames | None


@dataclass(frozen=True)
class ProcessPages:
    """Of one process. A frame counts for the first process that maps it."""

    pid: int
    pages: int
    frames: int
    swapped_pages: int
    plain: Contents
    layout: Contents | None


@dataclass(frozen=True)
class Unread:
    """A process that could not be looked at, and why."""

    pid: int
    reason: str


@dataclass(frozen=True)
class Estimate:
    """One look at processes. frames_known: whether the kernel told which pages are one frame
    already (CAP_SYS_ADMIN); else those of forks are guessed by place and content.

    untouched_pages are mapped to the kernel's one page of zeros and take no memory. own_peak_bytes:
    what the look itself took.
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
        """All that were looked at."""
        return sum(kind.pages for kind in self.kinds.values())

    @property
    def frames(self) -> int:
        """What they take now."""
        return sum(kind.frames for kind in self.kinds.values())

    @property
    def kept_plain(self) -> float:
        """Frames that are left when merging is done."""
        return sum(kind.plain.kept for kind in self.kinds.values())

    @property
    def kept_layout(self) -> float | None:
        """The same with one address layout; None where that was not looked at."""
        frames = [kind.layout for kind in self.kinds.values()]
        if any(each is None for each in frames):
            return None
        # What is equal already stays so.
        return min(sum(each.kept for each in frames if each is not None), self.kept_plain)

    def copy_pages(self, *, layout: bool) -> float | None:
        """Pages that one more process like these would have of its own; None for fewer than two."""
        contents = [each.layout if layout else each.plain for each in self.processes]
        known = [each.in_one for each in contents if each is not None]
        return sum(known) / len(known) if len(known) > 1 else None


@dataclass(frozen=True)
class Prediction:
    """What merging leaves of the memory of a program's processes, in bytes; half widths are those
    of 95 % intervals, 0 where every process was looked at. copy: what one more process would take.
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
