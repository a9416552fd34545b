"""Write a report to the file that the user has named."""

from __future__ import annotations

from pathlib import Path

from ksmrun.model.errors import KsmrunError
from ksmrun.support.advice import write_todo
from ksmrun.support.safefile import write_named


def write_report(file: Path, data: bytes, option: str) -> None:
    """Write it as a whole. Raises KsmrunError that names the option."""
    try:
        write_named(file, data)
    except OSError as error:
        raise KsmrunError(
            f"cannot write {file}: {error.strerror}",
            write_todo(error, f"give another file with {option}"),
        ) from error
