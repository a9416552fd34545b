"""First lines of written files: comments, whatever the names in them contain."""

from __future__ import annotations

import pytest

from ksmrun.wrap.containerd import lines_for
from ksmrun.wrap.header import comment, header


@pytest.mark.parametrize("end", ["\n", "\r", "\x85", "\u2028", "\x0b"])
def test_a_line_feed_in_a_name_ends_no_comment(end: str) -> None:
    name = f"a{end}evil: true"
    text = header(f"wrap compose {name}", f"{name} starts", f"rm {name}", f"rm {name}")
    text += comment(name)
    assert all(line.startswith("# ") for line in text.splitlines())
    assert len(text.splitlines()) == 4


def test_nor_does_one_in_the_name_of_containerds_configuration() -> None:
    lines, _ = lines_for(None, "a\nevil = 1\n", default=False)
    assert not any(line.startswith("evil") for line in lines.splitlines())
