"""The README on an index page: no link and no picture leads nowhere."""

from __future__ import annotations

import re
import sys

import pytest

from .conftest import PACKAGE, TOP

sys.path.insert(0, str(PACKAGE))
from page import index_page

README = (TOP / "README.md").read_text()
TARGET = re.compile(r"\]\(([^)]*)\)")
URL = "https://forge.example/ksmrun/ksmrun"


def test_with_an_address_all_links_are_absolute() -> None:
    page = index_page(README, URL, "0.1.0")
    before, after = TARGET.findall(README), TARGET.findall(page)
    assert len(before) == len(after) > 5
    for target, absolute in zip(before, after, strict=True):
        kind = "raw" if target.endswith(".png") else "blob"
        assert absolute == f"{URL}/{kind}/v0.1.0/{target}"
        assert (TOP / target).exists()


def test_without_an_address_there_are_none() -> None:
    page = index_page(README, None, "0.1.0")
    assert not TARGET.search(page)
    assert "- tests/README.md: all tests" in page
    text = "see [it](https://a.example/x) and [below](#here)"
    assert index_page(text, None, "0.1.0") == text


@pytest.mark.parametrize("url", ["http://a.example/x", "https://a.example", f"{URL}/", f"{URL} x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SystemExit):
        index_page(README, url, "0.1.0")
