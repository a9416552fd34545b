"""Commands of `ksmrun host` and their options."""

from __future__ import annotations

from ksmrun.model.frozen import dataclass
from ksmrun.model.tuning import Profile
from ksmrun.options.command import Command, NoOptions
from ksmrun.options.item import (
    Kind,
    Values,
    argument,
    choice,
    option,
    seconds,
    share,
    switch,
    whole,
)
from ksmrun.options.output import TableOptions
from ksmrun.plan.tuning import PROFILES

FORCE = "Unmerge even if the memory does not fit."


@dataclass(frozen=True)
class OnOptions:
    """Options of `ksmrun host on`."""

    at_boot: bool = switch("Switch it on at every boot, too (tmpfiles.d).", name="--boot")


@dataclass(frozen=True)
class OffOptions:
    """Options of `ksmrun host off`."""

    at_boot: bool = switch("Do not switch it on at boot any more, either.", name="--boot")


@dataclass(frozen=True)
class UnmergeOptions:
    """Options of `ksmrun host unmerge`."""

    force: bool = switch(FORCE)
    gradually: bool = switch(
        "Go process by process, as `ksmrun detach` does, as far as the memory fits; the rest at "
        "once."
    )


@dataclass(frozen=True)
class IntentOptions:
    """Options that say what is wanted of ksmd."""

    scan_time: float | None = seconds(
        "Time for a full scan of what is mergeable now, such as 60s or 5m.",
        metavar="TIME",
        least=1.0,
        most=86400.0,
    )
    max_cpu: float | None = share(
        "Largest share of one core for ksmd, such as 20%.", least=0.0001, most=1.0
    )
    profile: Profile | None = choice(
        "Share of one core for ksmd by name: "
        + ", ".join(f"{name} {each.cpu_share_max:.0%}" for name, each in PROFILES.items())
        + ".",
        None,
        of=Profile,
    )


@dataclass(frozen=True)
class ThreadOptions(IntentOptions):
    """Options that say the same, and where the thread ksmd runs."""

    cpus: str | None = option("CPUs that ksmd may use, such as 6-7 or 0,2.", metavar="CPUS")
    nice: int | None = whole(
        "Nice value of ksmd, from -20 to 19; the kernel gives it 5.", least=-20, most=19
    )
    idle: bool = switch("Run ksmd only where a CPU has nothing else to do (SCHED_IDLE).")


@dataclass(frozen=True)
class TuneOptions(ThreadOptions):
    """Options of `ksmrun host tune`."""

    dry_run: bool = switch("Show the plan, and set nothing.")
    as_json: bool = switch("Print the plan as one JSON object.", name="--json")
    force: bool = switch("Tune even where something else tunes this host.")


@dataclass(frozen=True)
class SetOptions:
    """Options of `ksmrun host set`."""

    settings: tuple[str, ...] = argument(
        "Tunables with their new values; `ksmrun host show` lists them.",
        "NAME=VALUE",
        is_many=True,
        is_required=True,
        values=Values.TUNABLE,
    )
    force: bool = switch(FORCE)
    unmerge: bool = switch(
        "Unmerge everything where a tunable changes only while nothing is merged."
    )


@dataclass(frozen=True)
class MapCountOptions:
    """Argument of `ksmrun host max-map-count`."""

    limit: int = argument(
        "Largest number of mappings (VMAs) of a process.",
        "NUMBER",
        Kind.WHOLE,
        least=1,
        most=(1 << 31) - 1,
        is_required=True,
    )


@dataclass(frozen=True)
class RestoreOptions:
    """Options of `ksmrun host restore`."""

    force: bool = switch(FORCE)
    values: bool = switch("Put back present values only, not what is set at boot.")


@dataclass(frozen=True)
class InstallOptions(ThreadOptions):
    """Options of `ksmrun host install`."""

    show: bool = switch("Print the systemd unit, and do nothing.", name="--print")
    remove: bool = switch("Remove the unit, and put KSM back.")


@dataclass(frozen=True)
class ShowOptions(TableOptions):
    """Options of `ksmrun host show`."""

    watch_seconds: float = seconds(
        "Seconds to watch ksmd; 0: do not watch it.", 1.0, name="--seconds", most=86400.0
    )


ON = Command(
    ("host", "on"),
    "Start merging (run=1)",
    (),
    OnOptions,
    (("Start merging, also after a reboot", "sudo ksmrun host on --boot"),),
)
OFF = Command(
    ("host", "off"),
    "Stop merging (run=0); merged memory stays merged until it is written to",
    (),
    OffOptions,
    (("Stop merging", "sudo ksmrun host off"),),
)
UNMERGE = Command(
    ("host", "unmerge"),
    "Unmerge everything (run=2)",
    ("Refused where the pages do not fit into free memory.",),
    UnmergeOptions,
    (("Unmerge everything", "sudo ksmrun host unmerge"),),
)
TUNE = Command(
    ("host", "tune"),
    "Set ksmd's scan rate by time or CPU, its CPUs and its priority",
    (
        "The plan is shown first; a rate also switches KSM on. For fast merging after each start "
        "and hardly any work at rest use `ksmrun monitor --auto`.",
    ),
    TuneOptions,
    (
        ("Show what a fifth of a core would do", "sudo ksmrun host tune --max-cpu 20% --dry-run"),
        ("Keep ksmd on one CPU", "sudo ksmrun host tune --cpus 0"),
    ),
    excludes=(("--nice", "--idle"),),
)
SET = Command(
    ("host", "set"),
    "Set tunables of KSM, and khugepaged/max_ptes_shared, which limits what khugepaged unmerges",
    (),
    SetOptions,
    (("Set the scan rate", "sudo ksmrun host set pages_to_scan=2000"),),
)
MAX_MAP_COUNT = Command(
    ("host", "max-map-count"),
    "Set vm.max_map_count, the limit on mappings of a process",
    ("Takes effect at once. Refused where a process uses more.",),
    MapCountOptions,
    (("Allow 262,144 mappings", "sudo ksmrun host max-map-count 262144"),),
)
RESTORE = Command(
    ("host", "restore"),
    "Put back everything that ksmrun changed on this host",
    ("This includes what a killed measurement or monitor left behind.",),
    RestoreOptions,
    (("Put everything back", "sudo ksmrun host restore"),),
)
INSTALL = Command(
    ("host", "install"),
    "Set what `host tune` does now and at every boot, by a systemd unit",
    (
        "A rate also switches KSM on.",
        "To adapt the rate to what starts and grows, use `ksmrun monitor --auto --print-unit`.",
    ),
    InstallOptions,
    (("Print the unit", "ksmrun host install --max-cpu 20% --print"),),
    excludes=(("--print", "--remove"), ("--nice", "--idle")),
)
SHOW = Command(
    ("host", "show"),
    "Show KSM's tunables and counters, what it saves and what ksmd takes",
    (),
    ShowOptions,
    (("Show everything", "ksmrun host show"),),
)
HOST = Command(
    ("host",),
    "Switch and tune KSM on this host, and put it back",
    (),
    NoOptions,
    (("Show tunables and counters", "ksmrun host show"),),
    commands=(ON, OFF, UNMERGE, TUNE, SET, MAX_MAP_COUNT, RESTORE, INSTALL, SHOW),
)
