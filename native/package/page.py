"""The README as the index shows it, away from the files that it links to."""

from __future__ import annotations

import re

# A link, or with ! a picture, whose target has no scheme.
RELATIVE = re.compile(r"(!?)\[([^]]*)\]\(([^():#\s]+)(#[^)\s]*)?\)")
REPOSITORY = re.compile(r"https://[\w.-]+(/[\w.-]+)+", re.ASCII)


def index_page(readme: str, repository: str | None, version: str) -> str:
    """Return the text with absolute links; while there is no address, without links and pictures.

    repository: pyproject.toml's project.urls.Repository, whose files are below blob/ and raw/.
    """
    if repository is not None and REPOSITORY.fullmatch(repository) is None:
        raise SystemExit(f"pyproject.toml: {repository!r} is not https://HOST/PATH without a slash")

    def absolute(link: re.Match[str]) -> str:
        mark, text, path, anchor = link.groups()
        if repository is None:
            return "" if mark else text
        kind = "raw" if mark else "blob"
        return f"{mark}[{text}]({repository}/{kind}/v{version}/{path}{anchor or ''})"

    return RELATIVE.sub(absolute, readme)
