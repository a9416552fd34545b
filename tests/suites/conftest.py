"""Other people's programs and tests, direct and through ksmrun: all results must be equal.

KSMRUN_SUITES=all runs the long ones too; KSMRUN_MECHANISMS names the ways to test.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .compare import LAYOUT, LONG_RUN, Bench

MECHANISMS = ("preload", "mark", LAYOUT)
# The part of the layout's way that always runs.
LAYOUT_SHORT = {
    "test_calls[layout]",
    "test_at_work[layout]",
    "test_launches[layout]",
    "test_cpython[layout-modules0]",
    "test_program[layout-python.py]",
    "test_program[layout-shells.bash]",
    "test_program[layout-users.sh]",
}


def cache_folder() -> Path:
    """Return a folder outside the repository that is kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ksmrun-suites"


# The Linux Test Project is no package of Debian's: its tests run where there is a build of it, or a
# source to build (suites/ltp.py).
if "KSMRUN_LTP" not in os.environ and not any(cache_folder().glob("ltp-*/programs.txt")):
    collect_ignore = ["test_ltp.py"]


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("boxes")
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    return Bench(folder, cache)


@pytest.fixture(
    scope="session", params=os.environ.get("KSMRUN_MECHANISMS", " ".join(MECHANISMS)).split()
)
def prefix(request: pytest.FixtureRequest, bench: Bench) -> list[str]:
    """Return the words before a command that start it through ksmrun."""
    return bench.prefix(request.param)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if f"[{LAYOUT}" in item.name and item.name not in LAYOUT_SHORT:
            item.add_marker(LONG_RUN)
