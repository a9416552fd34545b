"""Capabilities of this thread, beside what python-prctl says."""

from __future__ import annotations

import threading
from dataclasses import asdict

import prctl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.facts import host
from ksmrun.facts.host import CAPABILITIES, read_host

NAMED = [name for name in prctl.ALL_CAP_NAMES if name != "last_cap"]


def test_names_are_in_the_kernels_order() -> None:
    # Its name of the last one is "last_cap".
    numbers = [getattr(prctl, f"CAP_{name.upper()}") for name in CAPABILITIES[: len(NAMED)]]
    assert numbers == [*range(len(NAMED))]
    assert len(CAPABILITIES) == max(prctl.ALL_CAPS) + 1


@given(st.sets(st.sampled_from(NAMED)))
def test_capabilities(kept: set[str]) -> None:
    """Whichever of them this user has; each thread has its own."""
    found: list[object] = []

    def work() -> None:
        held = {name for name in NAMED if getattr(prctl.cap_permitted, name)}
        prctl.cap_effective.limit(*(kept & held))
        found.append(set(read_host().capabilities or ()) - {"checkpoint_restore"} == kept & held)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [True]


def test_unknown_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "read_text", lambda _: None)
    assert asdict(read_host())["capabilities"] is None
