"""Options of commands that print JSON or a table."""

from __future__ import annotations

from enum import StrEnum

from ksmrun.model.frozen import dataclass
from ksmrun.options.item import choice, switch

JSON = "Print one JSON object."


class Format(StrEnum):
    """Output format of a table."""

    TABLE = "table"
    TSV = "tsv"
    JSON = "json"


@dataclass(frozen=True)
class TableOptions:
    """Options of a command that prints a table."""

    as_json: bool = switch(JSON, name="--json", is_last=True)
    format: Format = choice(
        "Output format. tsv: lines of tab-separated values, with all columns.",
        Format.TABLE,
        is_last=True,
    )
    no_header: bool = switch("Omit the column names.", is_last=True)
