"""What `ksmrun ab` refuses because of its command line: before it starts anything or sets KSM."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ksmrun.cli import run_app
from ksmrun.commands.ab import command


@pytest.fixture(autouse=True)
def _starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object) -> int:
        raise AssertionError("it has started")

    monkeypatch.setattr(command, "kept", start)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ready-after=0"], "no command given"),
        (["--ready-after=0", "--primary=nope", "--", "true"], "--primary=nope is not a metric"),
        (["--", "true"], "no options say when a copy is ready"),
        (["--ready-after=0", "--ready-tcp=1", "--", "true"], "2 options say"),
        (["--ready-after=0", "--arm=x", "--", "true"], "is not NAME=OPTIONS"),
        (["--ready-after=0", "--arm=x=", "--", "true"], "at least two"),
        (["--ready-after=0", "--arm=a=", "--arm=b=--bogus", "--", "true"], "--arm b:"),
        (["--ready-after=0", "--", "true", "{nope}"], "there is no placeholder {nope}"),
        (["--ready-tcp={port}", "--", "true"], "no first port"),
        (["--ready-stdout=(", "--", "true"], "is not a valid regular expression"),
        (["--ready-after=0", "--metric=x", "--", "true"], "is not a custom metric, NAME=VALUE"),
        (["--ready-after=0", "--metric=x=(a)", "--", "true"], "without a load whose output"),
        (
            ["--ready-after=0", "--hold=nan", "--", "true"],
            "--hold=nan is not valid; give a time in seconds from 0",
        ),
        (
            ["--ready-after=-1", "--", "true"],
            "--ready-after=-1 is not valid; give a time in seconds",
        ),
        (["--ready-after=0", "--load='", "--", "true"], "No closing quotation"),
        (["--ready-after=0", "--fleet-load=", "--", "true"], "--fleet-load is empty"),
        (["--ready-after=0", "--load=true {x}", "--", "true"], "there is no placeholder {x}"),
        (["--ready-after=0", "--load=true", "--metric=x=a", "--", "true"], "has no group"),
        (
            ["--ready-after=0", "--metric-cmd=x=echo {x}", "--", "true"],
            "there is no placeholder {x}",
        ),
        (["--ready-udp=x", "--", "true"], "--ready-udp=x has no valid port"),
        (["--ready-tcp=70000", "--", "true"], "--ready-tcp=70000 has no valid port"),
        (["--ready-cmd=", "--", "true"], "--ready-cmd is empty"),
        (["--ready-after=0", "--ksm=run", "--", "true"], "is not NAME=VALUE"),
        (["--ready-after=0", "--gate=nope<=-20%", "--", "true"], "there is no metric nope"),
        (["--ready-after=0", "--gate=pss<=-20%", "--", "true"], "judges 6 rounds or more"),
        (
            ["--ready-after=0.1", "-n10000000", "--", "sleep", "99"],
            "--copies=10000000 is not valid",
        ),
    ],
)
def test_command_lines(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_app(["ab", f"--output={tmp_path / 'results'}", "-n2", "--rounds=1", *arguments])
    assert code in (1, 2)
    output = capsys.readouterr()
    assert said in output.err
    assert "; " in output.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("is_one_for_all", [False, True])
def test_a_port_in_use(is_one_for_all: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        last = ["--ready-tcp={port}", "--", "true", f"{{port:{port - 1}}}"]
        assert run_app(
            ["ab", "-n2", *([f"--ready-tcp={port}", "true"] if is_one_for_all else last)]
        )
        assert f"port {port} is in use by PID {os.getpid()}" in capsys.readouterr().err
