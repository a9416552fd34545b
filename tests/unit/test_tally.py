"""Summary of a test run: what did not run has not passed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tally import Tally, are_passed, tally

EVERY_RESULT = """
import pytest
def test_passes(): pass
def test_fails(): assert False
@pytest.fixture
def broken(): raise OSError
def test_breaks(broken): pass
def test_is_skipped(): pytest.skip()
@pytest.mark.xfail
def test_fails_as_expected(): assert False
"""


@pytest.mark.slow
def test_results_that_pytest_writes(tmp_path: Path) -> None:
    """Each kind in a real report; without CI=true, which makes a skipped test a failure."""
    (tmp_path / "tests/unit").mkdir(parents=True)
    (tmp_path / "tests/unit/test_it.py").write_text(EVERY_RESULT)
    line = [sys.executable, "-m", "pytest", "-q", "--junit-xml=report.xml", "--rootdir=."]
    subprocess.run(line, cwd=tmp_path, capture_output=True, check=False)
    counted = tally([tmp_path / "report.xml", tmp_path / "of a pytest that was killed.xml"])
    assert list(counted) == ["unit"]
    assert str(counted["unit"]) == "2 passed, 2 failed, 1 skipped"


@pytest.mark.parametrize(
    ("counted", "are_selected", "passed"),
    [
        ({"unit": Tally(passed=1), "layout": Tally(passed=1)}, False, [True, True]),
        ({"unit": Tally(passed=1), "layout": Tally(passed=1, failed=1)}, False, [True, False]),
        ({"unit": Tally(passed=1)}, False, [True, False]),
        ({"unit": Tally(passed=1), "layout": Tally(skipped=9)}, False, [True, False]),
        # As with -k, which selects tests of one folder.
        ({"unit": Tally(passed=1)}, True, [True, True]),
        ({"unit": Tally(passed=1), "layout": Tally(failed=1)}, True, [True, False]),
        ({}, True, [False, False]),
        ({"unit": Tally(skipped=1)}, True, [False, False]),
    ],
)
def test_what_has_passed(counted: dict[str, Tally], are_selected: bool, passed: list[bool]) -> None:
    folders = ("unit", "layout")
    result = are_passed(folders, counted, are_selected=are_selected)
    assert result == dict(zip(folders, passed, strict=True))
