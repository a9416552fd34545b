"""What is made of the table of options when the C parts are built: completion and manual pages."""

from __future__ import annotations

import sys
from pathlib import Path

from ksmrun.options.completion import table_text


def main(folder: Path) -> None:
    """Write all files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "completion_table.inc").write_text(table_text(), encoding="ascii")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
