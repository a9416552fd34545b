"""Unit that `ksmrun monitor --print-unit` prints: each option given is in its ExecStart."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.cli import build_app
from ksmrun.commands import monitor
from ksmrun.model.errors import EXIT_USAGE
from ksmrun.options.item import Item, Kind, items
from ksmrun.options.monitor import NEEDS_NICE, MonitorOptions
from ksmrun.wrap.execline import next_word, parse
from ksmrun.wrap.monitor_unit import COMMAND, INSTALL, LISTEN, render

from .test_execline import read_by_systemd

# A command line contains no NUL, and consists of characters or single bytes.
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
PATHS = WORDS.map(lambda word: f"/a {word}")
ADDRESSES = st.from_regex(r"([a-z0-9.%$-]+|\[::1\]):[1-9][0-9]{0,3}", fullmatch=True)
LISTS = {"listen": ADDRESSES, "textfile": PATHS, "config": PATHS, "on_alert": WORDS}
LISTS["cpus"] = st.sampled_from(["0", "6-7", "0,2-3"])


def texts(item: Item) -> st.SearchStrategy[str]:
    """Generate what may be typed for it."""
    if item.attribute in LISTS:
        return LISTS[item.attribute]
    if item.choices:
        return st.sampled_from(item.choices)
    assert item.least is not None and item.most is not None
    if item.kind is Kind.WHOLE:
        return st.integers(int(item.least), int(item.most)).map(str)
    return st.floats(item.least, item.most).map(str)


def command() -> Any:
    # Of click's, which typer may have in itself.
    group: Any = typer.main.get_command(build_app(["monitor"]))
    return group.commands["monitor"]


MONITOR = command()
OPTIONS = [item for item in items(MonitorOptions) if item.attribute not in ("print_unit", "idle")]


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    words = []
    for item in draw(st.lists(st.sampled_from(OPTIONS), unique=True)):
        is_switch = item.kind is Kind.SWITCH
        words.append(item.name if is_switch else f"{item.name}={draw(texts(item))}")
    return words


def parsed(words: list[str]) -> dict[str, Any]:
    return dict(MONITOR.make_context("monitor", list(words)).params)


def printed(words: list[str]) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        MONITOR.main([*words, "--print-unit"], standalone_mode=False)
    return output.getvalue()


def exec_start(text: str) -> list[str]:
    """Return the words as systemd starts them."""
    (line,) = [line for line in text.split("\n") if line.startswith("ExecStart=")]
    (found,) = parse(line.removeprefix("ExecStart="))
    words, rest = [], found.arguments
    while rest:
        word, rest = next_word(rest)
        words.append(read_by_systemd(word, expands=found.expands))
    return [found.path.replace("%%", "%"), *words]


@given(command_lines())
def test_the_same_options(words: list[str]) -> None:
    _, subcommand, *options = exec_start(printed(words))
    assert subcommand == "monitor"
    given, found = parsed(words), parsed(options)
    for name in ("textfile", "config"):
        if given[name] is not None:
            # With or without a slash at its end.
            given[name] = str(Path(given[name]))
    assert found == given | {"listen": LISTEN if given["listen"] is None else given["listen"]}


@given(PATHS, st.dictionaries(st.sampled_from(["on-alert", "listen"]), WORDS))
def test_any_path_and_any_value(program: str, options: dict[str, str]) -> None:
    path, _, *words = exec_start(render(f"[Service]\nExecStart={COMMAND}\n", program, options))
    assert path == program
    assert set(words) == {
        f"--{name}={value}" for name, value in ({"listen": LISTEN} | options).items()
    }


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        (["--auto"], "ReadWritePaths=/sys/kernel/mm/ksm"),
        (["--auto=pressure"], "ReadWritePaths=/sys/kernel/mm/ksm"),
        (["--auto", "--cpus=0", "--nice=19"], NEEDS_NICE),
        (["--raise-map-count-to=100000"], "ReadWritePaths=/proc/sys/vm/max_map_count"),
        (["--follow"], "SystemCallFilter=ptrace kcmp"),
        (["--textfile=/var/lib/a b"], 'ReadWritePaths="/var/lib/a b"'),
    ],
)
def test_what_an_option_needs_is_allowed(words: list[str], setting: str) -> None:
    text = printed(words)
    service, _, install = text.partition(INSTALL)
    assert f"\n{setting}\n" in service
    assert install
    assert f"\n{setting}\n" not in printed([])


def test_a_relative_path_is_of_this_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    found = exec_start(printed(["--textfile=x", "--config=y"]))
    assert f"--textfile={tmp_path}/x" in found
    assert f"--config={tmp_path}/y" in found


@pytest.mark.parametrize("words", [[], ["--auto"], ["--listen=127.0.0.1:1"]])
def test_without_the_client_of_prometheus(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """A unit that starts, unless metrics are requested; and how to get them."""
    monkeypatch.setattr(monitor, "find_spec", lambda _: None)
    assert exec_start(printed(words))[1:] == ["monitor", *words]
    said = capsys.readouterr().err
    assert "prometheus-client" in said and "pip install 'ksmrun[monitor]'" in said


def test_what_stays_wrong_is_not_tried_for_ever() -> None:
    settings = dict(line.split("=", 1) for line in printed([]).splitlines() if "=" in line)
    assert settings["RestartPreventExitStatus"] == str(EXIT_USAGE)
    # All restarts fit into the interval, so that the limit is reached (systemd.unit(5)).
    tries_seconds = int(settings["StartLimitBurst"]) * int(settings["RestartSec"].rstrip("s"))
    assert settings["StartLimitIntervalSec"] == "10min" and tries_seconds < 600
