"""Settings for all tests: which run beside which, and which are skipped.

Tests marked host_ksm have the host's KSM to themselves. Those marked own_pids check the list of all
processes: tests/run.sh runs both in a PID namespace, and all others spread over workers. Those
marked host_pids too act on the thread ksmd, outside a namespace. Those marked long_run run with
KSMRUN_SUITES=all. Where CI=true, a skipped test is a failure.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import sys
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pluggy
import pytest
from ksm_at_boot import alone, put_back, tunables
from volume import IS_LONG, volume

TESTS = Path(__file__).parent
# On a busy machine the time of an example says nothing.
hypothesis.settings.register_profile("ksmrun", deadline=None, max_examples=volume(300))
hypothesis.settings.load_profile("ksmrun")
# The longest first, so that no worker is still busy with one when the others are done.
FOLDERS = (
    "release",
    "fleets",
    "kernels",
    "systemd",
    "containers",
    "suites",
    "integration",
    "layout",
    "unit",
)
HOST_KSM_FIXTURES = {"ksm_on", "limit_put_back"}
# Set up once for many tests, which therefore stay on one worker.
SHARED = ("guest", "booted", "engine", "daemon")


def pytest_configure(config: pytest.Config) -> None:
    # readline, which pytest imports, sets these for all that is started, behind os.environ's back.
    os.unsetenv("COLUMNS")
    os.unsetenv("LINES")
    # A runner started by nohup or with & ignores these signals, and so would every program started
    # here.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    config.addinivalue_line("markers", "long_run: only with KSMRUN_SUITES=all")
    config.addinivalue_line("markers", "host_ksm: sets or judges the host's KSM or map limit")
    config.addinivalue_line("markers", "host_pids: acts on ksmd, which no PID namespace reaches")
    config.addinivalue_line("markers", "own_pids: judges the list of all processes")
    config.addinivalue_line("markers", "xdist_group(name): run by one worker, in order")
    config.addinivalue_line("markers", "slow: not in the quick loop")
    is_worker = hasattr(config, "workerinput")
    if os.geteuid() == 0 and not is_worker and "KSMRUN_KSM_GUARDED" not in os.environ:
        stack = contextlib.ExitStack()
        stack.enter_context(put_back())
        config.add_cleanup(stack.close)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    # A test that sets KSM without its mark would spoil others; here it fails.
    has_ksm = "not host_ksm" not in config.option.markexpr
    inside = [str(TESTS / "common/inside.sh"), *([] if has_ksm else ["--read-only-ksm"])]
    for spec in specs:
        spec.python = shlex.join([*inside, sys.executable])


def pytest_itemcollected(item: pytest.Item) -> None:
    # Before xdist reads the groups.
    if not HOST_KSM_FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
        item.add_marker("host_ksm")
    item.add_marker(pytest.mark.xdist_group(_group(item)))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not IS_LONG:
        left_out = [item for item in items if item.get_closest_marker("long_run")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=_order)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fail if groups are not kept together: each worker would repeat their set-up."""
    if (target := os.environ.get("KSMRUN_COLLECTED")) is not None:
        Path(target).write_text(json.dumps(_files_by_mark(session.items)))
    if not getattr(session.config.option, "loadgroup", False) or not session.items:
        return
    if "@" not in session.items[0].nodeid.rpartition("]")[2]:
        raise pytest.UsageError("pytest-xdist ignores xdist_group; see pyproject.toml")


def _files_by_mark(items: Iterable[pytest.Item]) -> dict[str, list[str]]:
    """Return the files that have tests with these marks, in the order of their tests."""
    marks = ("host_ksm", "host_pids", "own_pids")
    found: dict[str, dict[str, None]] = {mark: {} for mark in marks}
    for item in items:
        for mark in marks:
            if item.get_closest_marker(mark) is not None:
                found[mark][str(item.path)] = None
    return {mark: list(files) for mark, files in found.items()}


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]


def _group(item: pytest.Item) -> str:
    """Return the name of the group of tests that one worker runs one after the other."""
    if item.get_closest_marker("host_ksm"):
        return "host_ksm"
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    shared = [str(parameters[name]) for name in SHARED if name in parameters]
    return "-".join([_folder(item), *(shared or [item.path.stem])])


def _order(item: pytest.Item) -> int:
    place = FOLDERS.index(_folder(item))
    # The guests of systemd come last there: other tests build what they boot from.
    return -place if item.get_closest_marker("host_ksm") else place


@pytest.fixture(autouse=True)
def ksm_alone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give a test marked host_ksm the KSM settings of a boot, and restore them afterwards."""
    if request.node.get_closest_marker("host_ksm") is None:
        yield
        return
    with alone():
        before = tunables()
        yield
        assert tunables() == before


class FailuresAtOnce:
    """Report each failure at once, not only at the end."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self.terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            said = crash.message.splitlines()[0] if crash and crash.message else ""
            self.terminal.write_line(f"\nFAILED {report.nodeid}: {said[:200]}")


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    terminal = session.config.pluginmanager.getplugin("terminalreporter")
    if terminal is not None and not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(FailuresAtOnce(terminal))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, pluggy.Result[pytest.TestReport], None]:
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure under CI=true: {report.longrepr}"
