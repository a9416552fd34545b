"""Options of `ksmrun ab`."""

from __future__ import annotations

from pathlib import Path

from ksmrun.model.experiment import PRIMARY
from ksmrun.model.frozen import dataclass
from ksmrun.options.command import Command
from ksmrun.options.item import Values, option, path, seconds, switch, whole
from ksmrun.options.launch import PASSES
from ksmrun.options.report import GATE_CODES, GateOptions

COPIES_MAX, ROUNDS_MAX = 100_000, 10_000
LOAD = (
    "It starts with the measurement, or with --warm-up, and is run again whenever it ends. A run "
    "that has not printed its --metric at the end of --hold gets a minute more, then SIGINT."
)


@dataclass(frozen=True)
class ReadyOptions:
    """Options that say when a copy is ready."""

    ready_stdout: str | None = option(
        "Count a copy as ready when its output matches this regular expression.", metavar="REGEX"
    )
    ready_tcp: str | None = option(
        "Count a copy as ready when this port accepts connections.", metavar="[HOST:]PORT"
    )
    ready_udp: str | None = option(
        "Count a copy as ready when it has bound this port.", metavar="PORT"
    )
    ready_file: str | None = option(
        "Count a copy as ready when this file exists.", metavar="FILE", values=Values.FILE
    )
    ready_cmd: str | None = option(
        "Count a copy as ready when this command exits with 0.", metavar="COMMAND"
    )
    ready_after_seconds: float | None = seconds(
        "Seconds after which a copy counts as ready.", name="--ready-after"
    )
    ready_timeout_seconds: float = seconds(
        "Seconds to wait for a copy to become ready.", 180.0, name="--ready-timeout"
    )


@dataclass(frozen=True)
class AbOptions(GateOptions, ReadyOptions):
    """Options of `ksmrun ab`."""

    copies: int = whole("Number of copies to start.", 8, short="-n", least=1, most=COPIES_MAX)
    rounds: int = whole(
        "Number of rounds; each runs every arm once. Intervals can be relied on from 6 on.",
        6,
        least=1,
        most=ROUNDS_MAX,
    )
    arm: tuple[str, ...] = option(
        "Way to start the copies, with options of `ksmrun run`. The first arm is the base that the "
        "others are compared with.",
        metavar="NAME='OPTIONS'",
        is_many=True,
        default_text="off='--merge=off' and on=''",
    )
    load: str | None = option(f"Load generator, started once per copy. {LOAD}", metavar="COMMAND")
    fleet_load: str | None = option(
        f"Load generator, started once for all copies. {LOAD}", metavar="COMMAND"
    )
    metric: tuple[str, ...] = option(
        "Custom metric in the load's output: the number in the first group of the last match in "
        "each run of the load; the mean of all runs counts.",
        metavar="NAME=REGEX",
        is_many=True,
    )
    metric_cmd: tuple[str, ...] = option(
        "Custom metric that a command prints.", metavar="NAME=COMMAND", is_many=True
    )
    primary: str = option("Metric that decides, named before the start.", PRIMARY, metavar="METRIC")
    hold_seconds: float = seconds("Seconds to measure in each turn.", 10.0, name="--hold")
    warm_up_seconds: float = seconds(
        "Seconds to wait before merging is watched until it settles; a load starts with them.",
        0.0,
        name="--warm-up",
    )
    settle_seconds_max: float = seconds(
        "Longest time to wait, in seconds, until merging has settled.", 300.0, name="--settle-max"
    )
    stagger_seconds: float = seconds(
        "Seconds between the starts of copies; those started in one second can get one seed.",
        1.3,
        name="--stagger",
    )
    drop_caches: bool = switch("Empty the page cache before each turn.")
    ksm: tuple[str, ...] = option(
        "Tunable of KSM for the experiment; put back afterwards.",
        metavar="TUNABLE=VALUE",
        is_many=True,
        values=Values.TUNABLE,
    )
    hold_ksm: tuple[str, ...] = option(
        "Tunable of KSM while measuring, once merging has settled, such as pages_to_scan=100.",
        metavar="TUNABLE=VALUE",
        is_many=True,
        values=Values.TUNABLE,
    )
    output: Path | None = path(
        "New folder for the results.",
        metavar="FOLDER",
        values=Values.FOLDER,
        default_text="ksmrun-ab-DATE-TIME",
    )
    resume: Path | None = path(
        "Continue the experiment in this folder; takes no other option but --gate.",
        metavar="FOLDER",
        values=Values.FOLDER,
    )


AB = Command(
    ("ab",),
    "Measure a fleet with and without merging, in alternating rounds",
    (
        "Report what merging saves and costs. Results are saved after each turn.",
        "In COMMAND, loads, --ready-* and --metric-cmd: {i} is the number of the copy, {port:BASE} "
        "and {port} its port, {arm} the arm, {dir} its scratch folder; {{ and }} are braces.",
        "Copies and loads run in scratch folders: give files in their arguments by whole paths.",
    ),
    AbOptions,
    (
        (
            "Compare two copies of an interpreter, in two short rounds",
            "sudo ksmrun ab -n 2 --rounds 2 --ready-after 1 --hold 2 --settle-max 10 "
            "--ksm pages_to_scan=5000 -- python3 -c 'import time; time.sleep(600)'",
        ),
        (
            "Compare a server's memory and latency",
            "sudo ksmrun ab -n 8 --ready-tcp '{port}' --load './load {port}' "
            "--metric 'p99=p99 (.*) ms' -- ./server --port {port:31000}",
        ),
    ),
    (*GATE_CODES, ("130", "interrupted; what was measured is kept")),
    passes=PASSES,
)
