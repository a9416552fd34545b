"""/sys/kernel/mm/ksm (Documentation/admin-guide/mm/ksm.rst)."""

from __future__ import annotations

import os
from pathlib import Path

from ksmrun.facts.text import bracketed, parse_int, read_text
from ksmrun.model.errors import EXIT_FAILURE, KsmrunError
from ksmrun.model.ksm import KsmFacts

ROOT = Path("/")
FOLDER = Path("sys/kernel/mm/ksm")


def require_ksm(root: Path = ROOT, exit_code: int = EXIT_FAILURE) -> KsmFacts:
    """Return what read_ksm() does. Raises KsmrunError if there is no KSM."""
    ksm = read_ksm(root)
    if not ksm.present:
        raise KsmrunError(
            f"/{FOLDER} does not exist: the kernel has no KSM, or /sys is not mounted",
            "mount /sys, or boot a kernel with CONFIG_KSM=y",
            exit_code,
        )
    return ksm


def read_ksm(root: Path = ROOT) -> KsmFacts:
    """Return every tunable and counter of this kernel; an unparsable value is kept as text."""
    folder = root / FOLDER
    values: dict[str, int | str] = {}
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_file())
    except OSError:
        names = []
    for name in names:
        text = read_text(folder / name)
        if text is None:
            continue
        number = parse_int(text)
        values[name] = number if number is not None else bracketed(text) or text.strip()
    return KsmFacts(present=bool(names), page_bytes=os.sysconf("SC_PAGE_SIZE"), values=values)
