"""`ksmrun report`: its options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ksmrun.options.command import Command
from ksmrun.options.item import Kind, Values, argument, path, switch
from ksmrun.options.select import JSON


@dataclass(frozen=True)
class ReportOptions:
    """The results, and the form."""

    folders: tuple[Path, ...] = argument(
        "Folders that `ksmrun ab --output` wrote.",
        "FOLDER",
        Kind.PATH,
        is_many=True,
        is_required=True,
        values=Values.FOLDER,
    )
    as_json: bool = switch(JSON, name="--json")
    png: Path | None = path("Picture to write, as PNG. Needs ksmrun[ab].")
    html: Path | None = path("Page to write, as HTML, with all that is known. Needs ksmrun[ab].")


REPORT = Command(
    ("report",),
    "Report what experiments found, from their saved results",
    (
        "Several folders of the same fleet, from other days or hosts, are taken together; others "
        "are reported one by one.",
    ),
    ReportOptions,
    (
        ("Report all experiments of this folder", "ksmrun report ksmrun-ab-*"),
        ("Write a page, too", "ksmrun report results --html results.html"),
    ),
)
