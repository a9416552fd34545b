"""Results of tests by folder, from pytest's JUnit files."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Tally:
    """Sum of the times of a folder's tests, and their results."""

    seconds: float = 0.0
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def tally(reports: Iterable[Path]) -> dict[str, Tally]:
    """Return the tallies by folder. A report that pytest did not come to write is left out."""
    found: dict[str, Tally] = defaultdict(Tally)
    for report in (report for report in reports if report.exists()):
        for case in ElementTree.parse(report).iter("testcase"):
            folder = case.get("classname", "").removeprefix("tests.").split(".")[0]
            result = _result(case)
            setattr(found[folder], result, getattr(found[folder], result) + 1)
            found[folder].seconds += float(case.get("time", 0))
    return found


def _result(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    skipped = case.find("skipped")
    # A test that was expected to fail, and did, has run.
    return "passed" if skipped is None or skipped.get("type") == "pytest.xfail" else "skipped"


def are_passed(
    folders: Iterable[str], counted: Mapping[str, Tally], *, are_selected: bool
) -> dict[str, bool]:
    """Return by folder whether it has passed; a folder of which nothing has run has not.

    Only where options selected the tests, some folders, but not all, may be without any.
    """
    results = {folder: counted.get(folder, Tally()) for folder in folders}
    may_be_empty = are_selected and any(result.passed for result in results.values())
    return {
        folder: not result.failed and (result.passed > 0 or may_be_empty)
        for folder, result in results.items()
    }
