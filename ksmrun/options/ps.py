"""Options of `ksmrun ps` and `top`."""

from __future__ import annotations

from ksmrun.model.frozen import dataclass
from ksmrun.model.process import By, Sort
from ksmrun.options.command import Command
from ksmrun.options.item import choice, option, seconds, switch
from ksmrun.options.output import JSON, TableOptions

WATCH_SECONDS_MIN = 0.5
BY = "Property that the processes of one row have in common."
SORT = "Order of rows: names upwards, sizes from the largest, headroom from the least."


@dataclass(frozen=True)
class PsOptions(TableOptions):
    """Options of `ksmrun ps`."""

    by: By = choice(BY, By.PROCESS)
    sort: Sort = choice(SORT, Sort.NAME)
    watch_seconds: float | None = seconds(
        "Seconds after which to list again, until Ctrl-C; longer where that would cost too much "
        "CPU. Without this option the list is printed once.",
        name="--watch",
        least=WATCH_SECONDS_MIN,
        most=86400.0,
    )


@dataclass(frozen=True)
class TopOptions:
    """Options of `ksmrun top`."""

    by: By = choice(BY, By.PROCESS)
    sort: Sort = choice(SORT, Sort.PROFIT)
    text: str = option("Show only rows whose names contain this.", "", name="--filter")
    interval_seconds: float = seconds(
        "Minimum of seconds between two samples.", 2.0, name="--interval", least=0.5, most=86400.0
    )
    once: bool = switch("Print one frame as plain text.")
    as_json: bool = switch(JSON, name="--json")


PS = Command(
    ("ps",),
    "List the processes that merge, and what each gains",
    (
        "Without root only your own processes can be read. The total subtracts the pages that are "
        "kept once; the sum of the profits does not. Headroom is the number of mappings left up to "
        "vm.max_map_count; for a group, that of the process that has the most. Pause containers of "
        "pods are left out.",
    ),
    PsOptions,
    (("List containers, the largest first", "sudo ksmrun ps --by container --sort pss"),),
)
TOP = Command(
    ("top",),
    "Watch the processes that merge, live",
    (
        "Keys: s sorts, g groups, / filters, space marks, enter opens a row, escape goes back, q "
        'quits. Sizes are in MiB; "headroom" is the mappings left up to vm.max_map_count. '
        "Samples are taken less often where they would take more than 2% of a core, and PSS and "
        "mappings are read rarely.",
    ),
    TopOptions,
    (
        ("Watch containers", "sudo ksmrun top --by container"),
        ("Print one frame", "ksmrun top --once"),
    ),
)
