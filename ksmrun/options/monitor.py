"""Options of `ksmrun monitor`, which are also the keys of [monitor] in the configuration."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from ksmrun.model.frozen import dataclass
from ksmrun.model.launch import MAP_RESERVE
from ksmrun.options.command import Command
from ksmrun.options.item import Values, choice, number, option, path, seconds, share, switch, whole

DEFAULT_FILE = Path("/etc/ksmrun/config.toml")
TABLE = "monitor"


# For what is set of the thread ksmd (security/commoncap.c: cap_safe_nice).
NEEDS_NICE = (
    "CapabilityBoundingSet=CAP_SYS_NICE\n"
    "SystemCallFilter=sched_setaffinity sched_setscheduler setpriority"
)


class LogForm(StrEnum):
    """Format of log lines."""

    PLAIN = "plain"
    JSON = "json"


class Auto(StrEnum):
    """When ksmd may run fast."""

    NEVER = "never"
    ALWAYS = "always"
    PRESSURE = "pressure"


@dataclass(frozen=True)
class MonitorKeys:
    """Options that are also keys of the configuration. Shares from 0 to 1."""

    listen: str | None = option(
        "Serve Prometheus metrics at this address (needs ksmrun[monitor]).",
        metavar="HOST:PORT",
    )
    textfile: str | None = option(
        "Folder for ksmrun.prom, the same metrics for node_exporter's textfile collector.",
        metavar="FOLDER",
        values=Values.FOLDER,
    )
    on_alert: str | None = option(
        "Command to run, without a shell, when an alert begins or ends. It finds the facts in "
        "KSMRUN_ALERT_KIND, _STATE, _SUBJECT, _MESSAGE, _TODO, _PID, _VALUE, _LIMIT, _DOMAIN "
        "and _UNIT.",
        metavar="COMMAND",
        values=Values.COMMAND,
    )
    raise_map_count_to: int | None = whole(
        "Largest number of mappings up to which vm.max_map_count may be raised when a process "
        "comes near it. Without this option it is never raised.",
        least=65530,
        most=(1 << 31) - 1,
        unit_setting="ReadWritePaths=/proc/sys/vm/max_map_count",
    )
    map_reserve: float = share(
        "Share of vm.max_map_count to keep free; a process with less headroom raises an alert.",
        MAP_RESERVE,
        most=0.99,
    )
    warn_ahead_seconds: float = seconds(
        "Seconds before a growing process reaches vm.max_map_count at which to alert.",
        1800.0,
        name="--warn-ahead",
        most=86400.0,
    )
    interval_seconds: float = seconds(
        "Seconds between samples.", 15.0, name="--interval", least=0.1, most=3600.0
    )
    pss_interval_seconds: float = seconds(
        "Seconds between samples of PSS; longer where they would take 0.08 % of a core.",
        60.0,
        name="--pss-interval",
        least=0.1,
        most=86400.0,
    )
    cow_breaks_per_second: float = number(
        "Alert when more merged pages than this are copied back per second.",
        5000.0,
        name="--cow-breaks",
        least=1.0,
        most=1e9,
    )
    ksmd_busy_share: float = share(
        "Alert when ksmd takes more than this share of one core.",
        0.95,
        name="--ksmd-busy",
        least=0.01,
    )
    by_pid: bool = switch("Export metrics for each process, labelled by PID.")
    deep: bool = switch(
        "Before Linux 6.14: read smaps to find processes that ksmd has not reached yet.",
    )
    auto: Auto = choice(
        "Set ksmd's scan rate: fast while memory that starts or grows can merge, idle otherwise. "
        "With pressure it is fast only while memory is short.",
        Auto.NEVER,
        unit_setting="ReadWritePaths=/sys/kernel/mm/ksm",
        bare=Auto.ALWAYS.value,
    )
    auto_below: float = share(
        "With --auto=pressure: memory is short if less than this share of it is available. It is "
        "also short while programs wait for memory.",
        0.2,
        name="--available-below",
    )
    cpus: str | None = option(
        "With --auto: CPUs that ksmd may use, such as 6-7 or 0,2.",
        metavar="CPUS",
        unit_setting=NEEDS_NICE,
    )
    nice: int | None = whole(
        "With --auto: nice value of ksmd, from -20 to 19; the kernel gives it 5.",
        least=-20,
        most=19,
        unit_setting=NEEDS_NICE,
    )
    idle: bool = switch(
        "With --auto: run ksmd only where a CPU has nothing else to do (SCHED_IDLE).",
        unit_setting=NEEDS_NICE,
    )
    auto_max_cpu: float = share(
        "With --auto: largest share of one core for ksmd.",
        0.7,
        name="--max-cpu",
        least=0.01,
    )
    follow: bool = switch(
        "Before Linux 6.4: mark what attached programs map later, too.",
        unit_setting="SystemCallFilter=ptrace kcmp",
    )
    enforce: bool = switch(
        "End the merging of processes in no trust domain, or in another than the one that merges, "
        "where their memory fits (`ksmrun help trust`).",
        unit_setting="SystemCallFilter=ptrace kcmp",
    )
    log: LogForm = choice("Form of log lines.", LogForm.PLAIN)


@dataclass(frozen=True)
class MonitorOptions(MonitorKeys):
    """All options of the command."""

    config: Path | None = path(
        f"Configuration in TOML; options given here override it, and SIGHUP reads it again. "
        f"Default: {DEFAULT_FILE}, if it exists.",
    )
    print_unit: bool = switch(
        "Print a systemd unit that starts the monitor with these options, and exit."
    )


MONITOR = Command(
    ("monitor",),
    "Watch the map limit, ksmd and merged memory of this host, with alerts and metrics",
    (
        "Run one monitor per host. Without root it sees only your own processes. SIGTERM ends it "
        "and restores ksmd's rate and scheduling; a map limit that it has raised stays until "
        "`sudo ksmrun host restore`.",
        "Each option can be given in the configuration file as a key of the table [monitor]: its "
        'name with _ in place of -, as in interval = 15, max_cpu = "70%" or auto = true.',
    ),
    MonitorOptions,
    (
        ("Merge only when memory gets short", "sudo ksmrun monitor --auto=pressure"),
        ("Serve metrics on this host only", "sudo ksmrun monitor --listen 127.0.0.1:9739"),
        (
            "Print a unit that also sets ksmd's scan rate",
            "ksmrun monitor --auto --max-cpu 50% --print-unit",
        ),
    ),
    excludes=(("--nice", "--idle"),),
)
