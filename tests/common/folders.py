"""Folders of tests."""

from __future__ import annotations

import tempfile
from pathlib import Path


def let_all_in(folder: Path) -> Path:
    """Let every user look into a folder; pytest creates private ones."""
    top = Path(tempfile.gettempdir())
    for place in (folder, *folder.parents):
        if place == top or not place.is_relative_to(top):
            break
        place.chmod(0o755)
    return folder
