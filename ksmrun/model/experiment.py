"""Data that passes between the rooms of an A/B experiment; saved as JSON with these names."""

from __future__ import annotations

from dataclasses import dataclass, field

SCHEMA = "ksmrun-ab-1"
# Metric that decides, unless another is named before the start.
PRIMARY = "pss_bytes"


@dataclass(frozen=True)
class Arm:
    """One way to start the fleet.

    options: of `ksmrun run`; launcher_options: as planned from them.
    """

    name: str
    options: tuple[str, ...]
    launcher_options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ready:
    """Sign that a copy is ready: stdout, tcp, udp, file, cmd or after (seconds)."""

    kind: str
    value: str
    timeout_seconds: float


@dataclass(frozen=True)
class Metric:
    """Custom metric: first group of a regex in the load's output, or a command's whole output."""

    name: str
    kind: str
    value: str


@dataclass(frozen=True)
class ExperimentPlan:
    """Everything needed to repeat a run. Texts may contain placeholders.

    tunables: of KSM, for the whole run; hold_tunables: others for the hold, once merging has
    converged.
    """

    command: tuple[str, ...]
    copies: int
    rounds: int
    arms: tuple[Arm, ...]
    ready: Ready
    primary: str = PRIMARY
    load: str | None = None
    fleet_load: str | None = None
    metrics: tuple[Metric, ...] = ()
    tunables: dict[str, str] = field(default_factory=dict)
    hold_tunables: dict[str, str] = field(default_factory=dict)
    stagger_seconds: float = 1.3
    warm_up_seconds: float = 0.0
    settle_seconds_max: float = 300.0
    hold_seconds: float = 10.0
    drops_caches: bool = False


@dataclass(frozen=True)
class FleetSample:
    """State of the fleet and its host at one moment. Times count from the arm's start.

    Values that are expensive to read are None in most samples, and so are those that this kernel
    does not have. Counters of the host (ksm, cow_ksm, pressure, ksmd) count since boot. own: custom
    metrics, with the values since the previous sample; in phase "after" those that the load printed
    at its end.
    """

    elapsed_seconds: float
    phase: str
    processes: int
    rss_bytes: int
    cpu_seconds: float
    minor_faults: int
    major_faults: int
    mem_available_bytes: int | None
    swap_used_bytes: int | None
    pages_shared: int | None
    pages_sharing: int | None
    zero_pages: int | None
    full_scans: int | None
    general_profit_bytes: int | None
    cow_ksm: int | None
    ksmd_cpu_seconds: float | None
    memory_pressure_seconds: float | None
    cpu_pressure_seconds: float | None
    pss_bytes: int | None = None
    pss_anonymous_bytes: int | None = None
    uss_bytes: int | None = None
    swap_bytes: int | None = None
    huge_bytes: int | None = None
    maps_max: int | None = None
    own: dict[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class ArmResult:
    """Result of one arm in one round. metrics: means over the hold, in the unit of their names.

    settled: whether merging converged; None if nothing merges. warnings: (what, what to do).
    """

    round: int
    arm: str
    started: str
    ready_seconds: float
    settled: bool | None
    settle_seconds: float
    hold_seconds: float
    metrics: dict[str, float]
    sampling_cpu_share: float
    warnings: tuple[tuple[str, str], ...]
