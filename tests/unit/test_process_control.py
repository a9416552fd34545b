"""With and without python-prctl: the same effects, results and errors."""

from __future__ import annotations

import errno
import importlib
import signal
import sys
import threading
from collections.abc import Callable
from types import ModuleType

import prctl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.support import process_control


@pytest.fixture(scope="module")
def ways() -> tuple[ModuleType, ModuleType]:
    """Return the module with python-prctl, and once more where that cannot be imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "prctl", None)
        patch.delitem(sys.modules, process_control.__name__)
        alone = importlib.import_module(process_control.__name__)
    importlib.reload(process_control)
    assert vars(alone)["prctl"] is None and vars(process_control)["prctl"] is prctl
    return process_control, alone


def in_a_thread(work: Callable[[], object]) -> object:
    """Return what work returns or raises in a thread of its own, as that signal is a thread's."""
    found: list[object] = []

    def keep() -> None:
        try:
            found.append(work())
        except (OSError, ValueError) as error:
            found.append(type(error))

    thread = threading.Thread(target=keep)
    thread.start()
    thread.join()
    return found[0]


@given(st.integers(-3, 70))
def test_signals(ways: tuple[ModuleType, ModuleType], number: int) -> None:
    """Also numbers that are no signals: the same error."""
    for way in ways:

        def work(way: ModuleType = way) -> object:
            way.die_with_parent(number)
            return prctl.get_pdeathsig()

        expected = number if number in set(signal.Signals) else ValueError
        assert in_a_thread(work) == expected


def test_errors_of_the_kernel(ways: tuple[ModuleType, ModuleType]) -> None:
    with pytest.raises(OSError) as refused:
        ways[1]._call(ways[1].PRCTL, ways[1].PR_SET_PDEATHSIG, 10_000)
    assert refused.value.errno == errno.EINVAL


def test_subreaper(ways: tuple[ModuleType, ModuleType]) -> None:
    before = prctl.get_child_subreaper()
    for way in ways:
        prctl.set_child_subreaper(False)
        way.become_subreaper()
        assert prctl.get_child_subreaper()
    prctl.set_child_subreaper(before)
