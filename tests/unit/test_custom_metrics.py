"""Custom metrics: each number once, from the load's output and from commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.experiment.custom_metrics import CustomMetrics, check_metric
from ksmrun.experiment.placeholders import Instance
from ksmrun.model.errors import KsmrunError
from ksmrun.model.experiment import Metric

FIRST = Instance(0, "on", "/tmp")
P99 = Metric("p99", "output", r"^p99: (\S+)")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "log"
    file.write_text("p99: 1\n")
    return file


def test_output(log: Path) -> None:
    own = CustomMetrics([P99], [log], FIRST, None)
    assert own.sample() == {}
    with log.open("a") as file:
        file.write("p99: 2\nnothing\np99: 3\np99: 1")
        file.flush()
        assert own.sample() == {"p99": (2.0, 3.0)}
        file.write("7")
    # A line counts when it is complete, or when the load has ended.
    assert own.sample() == {}
    assert own.sample(is_last=True) == {"p99": (17.0,)}
    assert own.totals() == {"p99": 17.0}


def test_several_logs(log: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"p99: 4\n\xff\n")
    own = CustomMetrics([P99], [log, other], FIRST, None)
    assert own.totals() == {"p99": 2.5}


@given(st.lists(st.sampled_from(["p99: 1", "p99: ", "2\n", "x\n", "\n", "7", " p99: 3\n"])))
def test_a_log_that_grows_is_searched_as_a_whole_one(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    log = tmp_path_factory.mktemp("grows") / "log"
    log.touch()
    own = CustomMetrics([P99], [log], FIRST, None)
    known = False
    for text in texts:
        with log.open("a") as file:
            file.write(text)
        # Not taken back for a line that was incomplete.
        known = known or CustomMetrics([P99], [log], FIRST, None).has_all([log])
        assert own.has_all([log]) == known


def test_only_the_rest_of_a_log_is_read_again(log: Path) -> None:
    def read_bytes() -> int:
        """Return what this process has read so far (proc_pid_io(5))."""
        return int(Path("/proc/self/io").read_text().split()[1])

    log.write_text("nothing\n" * (1 << 18))
    own = CustomMetrics([P99], [log], FIRST, None)
    assert not own.has_all([log])
    with log.open("a") as file:
        file.write("p99: 1\n")
    before = read_bytes()
    assert own.has_all([log])
    assert read_bytes() - before < 1 << 18


def test_command(tmp_path: Path) -> None:
    file = tmp_path / "number"
    file.write_text("5\n")
    own = CustomMetrics([Metric("n", "command", f"cat {tmp_path}/{{arm}}")], [], FIRST, None)
    with pytest.raises(KsmrunError, match=r"--metric-cmd n failed: .*cat"):
        own.sample()
    (tmp_path / "on").write_text(" 6\n")
    assert own.sample() == {"n": (6.0,)}
    # Not twice in a second, and not when the load has ended.
    assert own.sample() == {}
    assert own.sample(is_last=True) == {}
    assert own.totals() == {"n": 6.0}


@pytest.mark.parametrize("text", ["x", "nan", "inf", "1,5"])
def test_no_number(log: Path, text: str) -> None:
    log.write_text(f"p99: {text}\n")
    with pytest.raises(KsmrunError, match="is not a number"):
        CustomMetrics([P99], [log], FIRST, None).totals()


def test_nowhere(log: Path) -> None:
    log.write_text("")
    with pytest.raises(KsmrunError, match="load's output has no metric"):
        CustomMetrics([P99], [log], FIRST, None).totals()


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (Metric("a", "output", "("), "not a valid regular expression"),
        (Metric("a", "output", "p99: .*"), "has no group"),
        (Metric("a", "command", "'"), "No closing quotation"),
        (Metric("a", "command", " "), "is empty"),
        (Metric("a", "command", "echo {nope}"), "there is no placeholder"),
        (Metric("a", "command", "echo {port}"), "no first port"),
    ],
)
def test_refused_before_the_start(metric: Metric, said: str) -> None:
    with pytest.raises(KsmrunError, match=said):
        check_metric(metric, FIRST, None)
