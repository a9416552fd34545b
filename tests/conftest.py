"""For all tests: long ones run with KSMRUN_SUITES=all; where CI=true, a test that is skipped is a
failure.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator

import pluggy
import pytest
from ksm_at_boot import ksm_at_boot


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, pluggy.Result[pytest.TestReport], None]:
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure under CI=true: {report.longrepr}"


def pytest_configure(config: pytest.Config) -> None:
    # A runner started by nohup or with & ignores these, and so would every program started here.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    config.addinivalue_line("markers", "long_run: only with KSMRUN_SUITES=all")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("KSMRUN_SUITES") == "all":
        return
    left_out = [item for item in items if item.get_closest_marker("long_run")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _sets_ksm(item: pytest.Item) -> bool:
    folder = item.path.parent.name
    if folder == "systemd":
        return item.get_closest_marker("host_ksm") is not None
    return folder not in ("unit", "kernels")


@pytest.fixture(scope="session", autouse=True)
def ksm_guardian(request: pytest.FixtureRequest) -> Iterator[None]:
    """Not for those that leave the host's KSM alone, and may run beside others."""
    if not any(_sets_ksm(item) for item in request.session.items):
        yield
        return
    with ksm_at_boot():
        yield
