"""A launch: what was asked for, what the program and the kernel are like, and the plan."""

from __future__ import annotations

from enum import StrEnum

from ksmrun.model.frozen import dataclass

# Share of vm.max_map_count to keep free, unless an option says otherwise.
MAP_RESERVE = 0.2


class MergeMode(StrEnum):
    """Action of ksmrun-exec on the merge flag: set it, clear an inherited one, leave it alone."""

    ON = "on"
    OFF = "off"
    KEEP = "keep"


class ThpMode(StrEnum):
    """Transparent huge pages of the program: as the host has them, or none."""

    KEEP = "keep"
    OFF = "off"


class Mechanism(StrEnum):
    """Mechanism that makes a program's memory mergeable. AUTO: chosen for this kernel.

    PRCTL: the flag is set before the exec, which keeps it. PRELOAD: the flag, with the help of a
    shim, which sets it from inside if the exec loses it, and joins VMAs if the flag keeps them
    apart. MARK: no flag; the shim marks memory with madvise, for kernels that have no flag. The
    shim needs a dynamically linked program. INJECT: the flag, which a helper process makes the
    program set right after its exec; for static programs on kernels where the exec loses it.
    """

    AUTO = "auto"
    PRCTL = "prctl"
    PRELOAD = "preload"
    MARK = "mark"
    INJECT = "inject"


class GuardMode(StrEnum):
    """Action to take if the program would come too near vm.max_map_count.

    SKIP starts it without merging if merging is what would exceed the limit, and warns otherwise.
    """

    SKIP = "skip"
    WARN = "warn"
    REFUSE = "refuse"
    OFF = "off"


class LayoutMode(StrEnum):
    """Address layout of the program: the kernel's own, or one shared by its group."""

    RANDOM = "random"
    SHARED = "shared"


class LayoutScope(StrEnum):
    """Processes that get a shared layout.

    The program that is started, also through shells and command wrappers (env, nice, ...), or every
    program that it starts.
    """

    PROGRAM = "program"
    TREE = "tree"


class SeedMode(StrEnum):
    """Hash seeds of interpreters under a shared layout: one for the group, or each its own.

    GO: one for the group, and one random value for its static Go programs.
    """

    SHARED = "shared"
    OWN = "own"
    GO = "go"


class RuntimeFlags(StrEnum):
    """Flags that a language runtime takes from its environment, for its copies to merge.

    MERGE: those that make copies equal. SHRINK: also those that make each copy smaller.
    """

    MERGE = "merge"
    SHRINK = "shrink"
    OFF = "off"


@dataclass(frozen=True)
class SharedLayout:
    """Key file of a shared layout, and the label from which the group's key is derived.

    label is None if the file holds the group's key itself.
    """

    key_file: bytes
    label: str | None
    seeds: SeedMode = SeedMode.SHARED
    scope: LayoutScope = LayoutScope.PROGRAM


@dataclass(frozen=True)
class Request:
    """Request of the user to `ksmrun run`. The command is bytes: argv need not be UTF-8."""

    command: tuple[bytes, ...]
    merge: MergeMode = MergeMode.ON
    thp: ThpMode = ThpMode.KEEP
    require: bool = False
    verify: bool = False
    quiet: bool = False
    mechanism: Mechanism = Mechanism.AUTO
    guard: GuardMode = GuardMode.SKIP
    map_reserve: float = MAP_RESERVE
    expect_maps: int | None = None
    mark_min_bytes: int = 64 << 10
    inherit: bool = True
    layout: SharedLayout | None = None
    runtime_flags: RuntimeFlags = RuntimeFlags.OFF
    exclude_secrets: bool = False
    domain: str | None = None


@dataclass(frozen=True)
class Probe:
    """Findings of `ksmrun-exec --probe` on this kernel; None for what could not be found out."""

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
        """Return whether adjacent mappings stay one VMA during merging (not on 6.4 to 6.16)."""
        if self.mmap_vmas is None or self.brk_vmas is None:
            return None
        return max(self.mmap_vmas, self.brk_vmas) < self.vma_steps // 2


@dataclass(frozen=True)
class TargetFacts:
    """Program behind a command, as far as it can be read before it starts.

    If the command is a script, interpreters lists the files from it to the program, and the other
    fields describe the last of them. What is unreadable is None, with the reason in note.
    capabilities: the file grants some. needs_first_preload: it links a sanitizer that must be the
    first library. loaded_by: the loader that the command starts it through.
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
    loaded_by: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class MapPeak:
    """Highest number of VMAs seen of a program, and its data size then (proc(5): VmData)."""

    source: str
    maps: int
    data_bytes: int | None


@dataclass(frozen=True)
class Plan:
    """Launch as data: mechanism (None: no flag), exact ksmrun-exec command line, messages.

    said: what the user is told of a launch without a fault.
    """

    mechanism: Mechanism | None
    argv: tuple[bytes, ...]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """Reason why a launch must not happen, and what to do. option: the one that forbids it."""

    what: str
    todo: str
    option: str = "--require"
