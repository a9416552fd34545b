"""How long merging takes at a rate, as `host on` and `ps` tell."""

from __future__ import annotations

from ksmrun.model.ksm import KsmFacts
from ksmrun.plan.pace import pace_line, wait_line

GIB = 1 << 30


def ksm(**values: int) -> KsmFacts:
    known = {"run": 1, "pages_to_scan": 100, "sleep_millisecs": 20, "pages_sharing": 0}
    return KsmFacts(present=True, page_bytes=4096, values={**known, **values})


def test_at_the_kernel_s_defaults() -> None:
    # 19.5 MiB/s: a GiB takes 52 s, and twice that.
    line = pace_line(ksm(), GIB)
    assert line is not None
    assert "at most 19.5 MiB/s are scanned: the 1024 MiB" in line
    assert "take 105 s (two full scans)" in line
    assert "sudo ksmrun monitor --auto" in line
    line = pace_line(ksm(), 0)
    assert line is not None
    assert "monitor --auto" in line


def test_nothing_to_say() -> None:
    assert pace_line(ksm(run=0), GIB) is None
    assert wait_line(ksm(pages_sharing=5), GIB) is None
    assert wait_line(ksm(pages_to_scan=100000), GIB) is None
    assert wait_line(ksm(), 0) is None
    assert wait_line(ksm(), GIB) == pace_line(ksm(), GIB)
