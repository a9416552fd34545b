"""Options of commands that print a table."""

from __future__ import annotations

from enum import StrEnum

FORMAT = "Output format. tsv: lines of tab-separated values, with all columns."
NO_HEADER = "Omit the column names."


class Format(StrEnum):
    """Output format of a table."""

    TABLE = "table"
    TSV = "tsv"
    JSON = "json"
