"""Options of `ksmrun report`."""

from __future__ import annotations

from pathlib import Path

from ksmrun.model.frozen import dataclass
from ksmrun.options.command import Command
from ksmrun.options.item import Kind, Values, argument, option, path
from ksmrun.options.output import TableOptions

GATE_CODES = (
    ("1", "the command failed, or a gate does not hold"),
    ("3", "it is not sure whether the gates hold"),
)


@dataclass(frozen=True)
class GateOptions:
    """Limits that decide the exit code."""

    gate: tuple[str, ...] = option(
        "Limit for the change of a metric against the base arm, such as 'pss<=-20%', 'p99<=+5' or "
        "'rss<=+64MiB'. Judged on the bad end of the interval.",
        metavar="METRIC<=CHANGE",
        is_many=True,
    )


@dataclass(frozen=True)
class ReportOptions(GateOptions, TableOptions):
    """Options of `ksmrun report`."""

    folders: tuple[Path, ...] = argument(
        "Folders that `ksmrun ab --output` wrote.",
        "FOLDER",
        Kind.PATH,
        is_many=True,
        is_required=True,
        values=Values.FOLDER,
    )
    png: Path | None = path("Picture to write, as PNG. Needs ksmrun[ab].")
    html: Path | None = path("Page to write, as HTML, with all that is known. Needs ksmrun[ab].")


REPORT = Command(
    ("report",),
    "Report what experiments found, from their saved results",
    (
        "Several folders of the same fleet, from other days or hosts, are taken together; others "
        "are reported one by one.",
        "With --gate it is not sure whether a limit holds where the interval spans it, where there "
        "are fewer than 6 rounds, and where merging had not settled.",
    ),
    ReportOptions,
    (
        ("Report all experiments of this folder", "ksmrun report ksmrun-ab-*"),
        ("Write a page, too", "ksmrun report results --html results.html"),
        (
            "Decide by limits",
            "ksmrun report results --gate 'pss<=-20%' --gate 'p99<=+5%'",
        ),
    ),
    GATE_CODES,
)
