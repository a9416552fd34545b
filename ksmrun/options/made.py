"""Files generated from the table of options when building the C parts: completion, manual pages."""

from __future__ import annotations

import sys
from pathlib import Path

from ksmrun.options.completion import table_text
from ksmrun.options.page import roff
from ksmrun.options.pages import pages


def main(folder: Path, version: str) -> None:
    """Write all files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "completion_table.inc").write_text(table_text(), encoding="ascii")
    for page in pages():
        file = folder / "man" / page.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(roff(page, version), encoding="ascii")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
