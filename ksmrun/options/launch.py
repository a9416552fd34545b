"""Options of a launch, shared by `run`, `check`, arms of `ab` and the wraps."""

from __future__ import annotations

from dataclasses import replace

from ksmrun.model.frozen import dataclass
from ksmrun.model.launch import (
    MAP_RESERVE,
    GuardMode,
    LayoutMode,
    LayoutScope,
    Mechanism,
    MergeMode,
    Request,
    RuntimeFlags,
    SeedMode,
    SharedLayout,
    ThpMode,
)
from ksmrun.options.command import Command
from ksmrun.options.item import Values, choice, option, share, size, switch, whole


@dataclass(frozen=True)
class DomainOptions:
    """Option of launches whose trust domain can be looked up on this host."""

    domain: str | None = option(
        "Trust domain of the program: it merges only while no process of another one does.",
        metavar="DOMAIN",
        variable="KSMRUN_DOMAIN",
    )


@dataclass(frozen=True)
class GroupOptions:
    """Options of every launch."""

    require: bool = switch(
        "Do not start the program where it cannot be enabled for merging. While KSM is off it "
        "starts all the same.",
        variable="KSMRUN_REQUIRE",
    )
    layout: LayoutMode = choice(
        "Address layout: random, by the kernel for each process; or shared, secret addresses that "
        "all programs of a group have, so that pages full of pointers merge, too.",
        LayoutMode.RANDOM,
        variable="KSMRUN_LAYOUT",
    )
    layout_group: str = option(
        "Group that shares the layout.",
        "default",
        metavar="GROUP",
        variable="KSMRUN_LAYOUT_GROUP",
        values=Values.GROUP,
    )


@dataclass(frozen=True)
class WrapOptions(GroupOptions):
    """Options of every launch of a known program."""

    layout_scope: LayoutScope = choice(
        "Processes that get the shared layout: the program alone, also through shells and command "
        "wrappers such as env; or the whole tree of processes that it starts.",
        LayoutScope.PROGRAM,
        variable="KSMRUN_LAYOUT_SCOPE",
    )
    seeds: SeedMode = choice(
        "With a shared layout: one seed for the runtimes in it, or their own. go: also one random "
        "value for static Go programs, whose math/rand then repeats.",
        SeedMode.SHARED,
        variable="KSMRUN_SEEDS",
    )
    runtime_flags: RuntimeFlags = choice(
        "Flags for Java and Mono, by their environment: merge makes copies equal, shrink also "
        "makes each smaller. See `ksmrun help runtimes`.",
        RuntimeFlags.OFF,
        variable="KSMRUN_RUNTIME_FLAGS",
    )
    mechanism: Mechanism = choice(
        "Way to enable merging. auto: what this kernel needs. prctl: the process flag, set before "
        "the exec. preload: the flag, set by a preloaded shim. mark: memory marked by the shim. "
        "inject: the flag, set right after the exec by a helper.",
        Mechanism.AUTO,
        variable="KSMRUN_MECHANISM",
    )
    exclude_secrets: bool = switch(
        "Keep out of merging what the program locks into memory or leaves out of core dumps, as "
        "libsodium, OpenSSL's secure heap and GnuPG do with keys. See `ksmrun help security`.",
        variable="KSMRUN_EXCLUDE_SECRETS",
    )
    thp: ThpMode = choice(
        "Transparent huge pages of the program: left as they are, or switched off.",
        ThpMode.KEEP,
        variable="KSMRUN_THP",
    )

    def request(self, command: tuple[bytes, ...]) -> Request:
        """Return what they ask for, but for the layout, whose key the caller looks for."""
        return Request(
            command,
            require=self.require,
            mechanism=self.mechanism,
            thp=self.thp,
            runtime_flags=self.runtime_flags,
            exclude_secrets=self.exclude_secrets,
        )

    def shared(self, key_file: bytes, label: str | None) -> SharedLayout:
        """Return the shared layout that they ask for, with this key."""
        return SharedLayout(key_file, label, self.seeds, self.layout_scope)


@dataclass(frozen=True)
class LaunchOptions(DomainOptions, WrapOptions):
    """Options of a launch by `ksmrun run` or `check`."""

    merge: MergeMode = choice(
        "Merge flag of the program: set, cleared, or kept as inherited.",
        MergeMode.ON,
        variable="KSMRUN_MERGE",
    )
    verify: bool = switch(
        "Report on stderr, after the exec, whether the merge flag arrived.",
        variable="KSMRUN_VERIFY",
    )
    quiet: bool = switch(
        "Print nothing where the program starts without merging.", variable="KSMRUN_QUIET"
    )
    guard: GuardMode = choice(
        "Action where the program would come too near vm.max_map_count: skip merging if that "
        "helps, warn only, refuse to start it (exit code 125), or off.",
        GuardMode.SKIP,
        variable="KSMRUN_GUARD",
    )
    map_reserve: float = share(
        "Share of vm.max_map_count to keep free.",
        MAP_RESERVE,
        below_most=True,
        variable="KSMRUN_MAP_RESERVE",
    )
    expect_maps: int | None = whole(
        "Number of mappings (VMAs) that the program has at its peak, where you know it.",
        least=1,
        most=(1 << 31) - 1,
        variable="KSMRUN_EXPECT_MAPS",
    )
    mark_min_bytes: int = size(
        "Smallest run of neighbouring mappings, in bytes, that the shim marks.",
        64 << 10,
        name="--mark-min",
        most=1 << 40,
        variable="KSMRUN_MARK_MIN",
    )
    inherit: bool = switch(
        "Pass the shim on to the program's children, or not.",
        True,
        negative="--no-inherit",
        variable="KSMRUN_INHERIT",
    )

    def request(self, command: tuple[bytes, ...]) -> Request:
        """Return what they ask for, but for the layout, whose key the caller looks for."""
        return replace(
            super().request(command),
            merge=self.merge,
            verify=self.verify,
            quiet=self.quiet,
            guard=self.guard,
            map_reserve=self.map_reserve,
            expect_maps=self.expect_maps,
            mark_min_bytes=self.mark_min_bytes,
            inherit=self.inherit,
            domain=self.domain,
        )


@dataclass(frozen=True)
class RunOptions(LaunchOptions):
    """All options of `ksmrun run`."""

    dry_run: bool = switch("Print the ksmrun-exec command line instead of running it.")


PASSES = "[--] COMMAND [ARG...]"
RUN = Command(
    ("run",),
    "Start COMMAND with its memory merged",
    (
        "COMMAND runs in place, with the same PID, and sees what it would see without ksmrun. "
        "Where its memory cannot merge, it starts anyway and one line on stderr says why, unless "
        "--require is given.",
    ),
    RunOptions,
    (
        ("Start a program, and see that it merges", "ksmrun run --verify -- sleep 1"),
        (
            "Start copies of an interpreter with one address layout",
            "ksmrun run --layout shared --layout-group web -- python3 -c 'print(\"started\")'",
        ),
        ("Show what would be executed", "ksmrun run --dry-run -- sleep 1"),
    ),
    (
        ("125", "ksmrun failed, refused to start COMMAND, or was used wrongly"),
        ("126", "COMMAND was found but cannot be run"),
        ("127", "COMMAND was not found"),
        ("other", "exit code of COMMAND"),
    ),
    passes=PASSES,
    reads_variables=True,
)
