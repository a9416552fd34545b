"""Location of what is installed with this package and is not Python."""

from __future__ import annotations

from pathlib import Path

import ksmrun


def package_file(name: str) -> Path:
    """Return the path of a file or folder of the package; it need not be there.

    An editable installation has two folders: the sources, and what was built from them.
    """
    folders = [Path(folder) for folder in ksmrun.__path__]
    return next(
        (folder / name for folder in folders if (folder / name).exists()), folders[0] / name
    )
