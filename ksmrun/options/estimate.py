"""Options of `ksmrun estimate`."""

from __future__ import annotations

from ksmrun.model.frozen import dataclass
from ksmrun.options.command import Command
from ksmrun.options.item import seconds, share, switch
from ksmrun.options.output import TableOptions
from ksmrun.options.select import SelectOptions


@dataclass(frozen=True)
class EstimateOptions(SelectOptions, TableOptions):
    """Options of `ksmrun estimate`."""

    sample: float | None = share(
        "Share of each program's processes to look at, such as 5%; the rest is estimated, with an "
        "interval. Needs ksmrun[ab]. Without this option all are looked at.",
        least=0.0001,
    )
    volatile_after_seconds: float = seconds(
        "Seconds after which to look again; pages that changed are not counted on. 0: look once.",
        0.0,
        name="--volatile-after",
        most=86400.0,
    )
    layout: bool = switch(
        "Estimate what one shared address layout would add, or not.", True, negative="--no-layout"
    )


ESTIMATE = Command(
    ("estimate",),
    "Estimate what merging would save on running processes, without switching it on",
    (
        "Hash the private pages that are in memory. Processes are not stopped, nothing is swapped "
        "in, and pages shared by fork or KSM stay shared.",
    ),
    EstimateOptions,
    (
        ("Estimate for this shell and its parent", "sudo ksmrun estimate $$ $PPID"),
        ("Estimate for all copies of a server", "sudo ksmrun estimate --match 'server --port'"),
    ),
    (("1", "no process could be read"),),
)
