"""The frozen dataclasses that pass between the rooms of ksmrun, and its one error.

Units stand in the names. What a kernel, a user or a container does not show is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_OWN_FAILURE = 125
EXIT_CANNOT_RUN = 126
EXIT_NOT_FOUND = 127


class KsmrunError(Exception):
    """Something the user can act on: what happened, what to do, and the exit code it ends with."""

    def __init__(self, what: str, todo: str, exit_code: int = EXIT_FAILURE) -> None:
        super().__init__(f"{what}; {todo}")
        self.what = what
        self.todo = todo
        self.exit_code = exit_code


class MergeMode(StrEnum):
    """What ksmrun-exec does with the merge flag: set it, clear an inherited one, leave it alone."""

    ON = "on"
    OFF = "off"
    KEEP = "keep"


class ThpMode(StrEnum):
    """Transparent huge pages of the program: as the host has them, or none."""

    KEEP = "keep"
    OFF = "off"


class Mechanism(StrEnum):
    """How a program's memory comes to merge: AUTO lets the plan choose by what the kernel does.

    PRCTL: the flag, set before the exec, which keeps it. PRELOAD: the flag with the help of a shim,
    which sets it from inside where the exec loses it, and joins VMAs where it keeps them apart.
    MARK: no flag, but memory marked by the shim with madvise, where there is no flag. The shim
    needs a dynamically linked program. INJECT: the flag, which a helper has the program set right
    after its exec: for static programs where the exec loses it.
    """

    AUTO = "auto"
    PRCTL = "prctl"
    PRELOAD = "preload"
    MARK = "mark"
    INJECT = "inject"


class GuardMode(StrEnum):
    """What to do where a program would come too near vm.max_map_count.

    SKIP starts it without merging where merging is what would go over, and warns otherwise.
    """

    SKIP = "skip"
    WARN = "warn"
    REFUSE = "refuse"
    OFF = "off"


class LayoutMode(StrEnum):
    """Where a program lies in its address space: where the kernel puts it, or its group is."""

    RANDOM = "random"
    SHARED = "shared"


class LayoutScope(StrEnum):
    """What a shared layout reaches: the program that is started, through shells and command
    wrappers (env, nice, ...), or all that it starts.
    """

    PROGRAM = "program"
    TREE = "tree"


class SeedMode(StrEnum):
    """With a shared layout: one hash seed for the group's interpreters, or each its own."""

    SHARED = "shared"
    OWN = "own"


@dataclass(frozen=True)
class SharedLayout:
    """The file with the master key, and what the group's key is derived from it by.

    label is None where the file holds the group's key.
    """

    key_file: bytes
    label: str | None
    seeds: SeedMode = SeedMode.SHARED
    scope: LayoutScope = LayoutScope.PROGRAM


@dataclass(frozen=True)
class Request:
    """What the user asked `ksmrun run` for. The command is bytes: argv need not be UTF-8."""

    command: tuple[bytes, ...]
    merge: MergeMode = MergeMode.ON
    thp: ThpMode = ThpMode.KEEP
    require: bool = False
    verify: bool = False
    quiet: bool = False
    mechanism: Mechanism = Mechanism.AUTO
    guard: GuardMode = GuardMode.SKIP
    map_reserve: float = 0.2
    expect_maps: int | None = None
    mark_min_bytes: int = 64 << 10
    inherit: bool = True
    layout: SharedLayout | None = None


@dataclass(frozen=True)
class Probe:
    """What `ksmrun-exec --probe` found this kernel to do; None where it could not be found out."""

    kernel: str
    machine: str
    prctl_supported: bool | None
    prctl_obstacle: str | None
    prctl_obstacle_what: str | None
    prctl_obstacle_todo: str | None
    kept_over_fork: bool | None
    kept_over_exec: bool | None
    scanned_after_exec: str
    known_not_scanned: str | None
    vma_steps: int
    mmap_vmas: int | None
    brk_vmas: int | None
    ksm_stat_fields: tuple[str, ...]
    ptrace_allowed: bool | None
    set_mm_map_allowed: bool | None

    @property
    def vmas_merge(self) -> bool | None:
        """Whether neighbouring mappings stay one VMA while merging is on (not on 6.4 to 6.16)."""
        if self.mmap_vmas is None or self.brk_vmas is None:
            return None
        return max(self.mmap_vmas, self.brk_vmas) < self.vma_steps // 2


@dataclass(frozen=True)
class TargetFacts:
    """The program behind a command, as far as it can be read before it starts.

    Where the command is a script, interpreters lists the files it is followed through, and the
    other fields tell of the last of them. Unreadable is None, with the reason in note.
    capabilities: the file gives some. needs_first_preload: it links a sanitizer that wants to be
    the first library.
    """

    path: str | None
    interpreters: tuple[str, ...] = ()
    elf_class_bits: int | None = None
    machine: str | None = None
    dynamic: bool | None = None
    pie: bool | None = None
    loader: str | None = None
    libc: str | None = None
    setuid: bool | None = None
    setgid: bool | None = None
    capabilities: bool | None = None
    needs_first_preload: bool | None = None
    note: str | None = None


@dataclass(frozen=True)
class KsmFacts:
    """/sys/kernel/mm/ksm: each readable file by name. Numbers are int, modes stay text.

    present is False where the kernel has no KSM or /sys is not mounted.
    """

    present: bool
    page_bytes: int
    values: dict[str, int | str]

    def number(self, name: str) -> int | None:
        """The value of a counter or tunable; None where absent or not a number."""
        value = self.values.get(name)
        return value if isinstance(value, int) else None

    @property
    def merged_pages(self) -> int | None:
        """Pages that need no memory of their own; None where that is not known."""
        sharing = self.number("pages_sharing")
        # 6.18 can lose count of zero pages, and go below none.
        return None if sharing is None else sharing + max(self.number("ksm_zero_pages") or 0, 0)


@dataclass(frozen=True)
class HostFacts:
    """What decides on this host whether and how fast memory merges."""

    kernel: str
    ksm: KsmFacts
    mem_total_bytes: int | None
    mem_available_bytes: int | None
    anonymous_bytes: int | None
    swap_total_bytes: int | None
    swap_free_bytes: int | None
    zswap_enabled: bool | None
    thp_enabled: str | None
    max_map_count: int | None
    numa_nodes: int | None
    container: str | None
    hidepid: bool | None
    seccomp_mode: int | None
    no_new_privs: bool | None
    capabilities: tuple[str, ...] | None
    ksm_writable: bool
    khugepaged_max_ptes_shared: int | None = None


@dataclass(frozen=True)
class MapPeak:
    """How many VMAs a program was seen to have, and its data size then (proc(5): VmData)."""

    source: str
    maps: int
    data_bytes: int | None


@dataclass(frozen=True)
class Plan:
    """A launch as data: the mechanism (None: it sets no flag), the exact ksmrun-exec command line,
    and what to say.
    """

    mechanism: Mechanism | None
    argv: tuple[bytes, ...]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Refusal:
    """Why a launch must not happen, and what to do."""

    what: str
    todo: str


@dataclass(frozen=True)
class Sample:
    """A fleet and its host at one moment. Memory sums run over all processes of the fleet; None
    where this kernel does not count it.
    """

    elapsed_seconds: float
    processes: int
    rss_bytes: int | None
    pss_bytes: int | None
    pss_anonymous_bytes: int | None
    mem_available_bytes: int | None
    pages_shared: int | None
    pages_sharing: int | None
    zero_pages: int | None
    full_scans: int | None
    ksmd_cpu_seconds: float | None


@dataclass(frozen=True)
class RunResult:
    """One fleet run to its end: the host before any copy started, the fleet when measured."""

    name: str
    merge: MergeMode
    before: Sample
    measured: Sample
    settled: bool
    settle_seconds: float
