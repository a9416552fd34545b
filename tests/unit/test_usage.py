"""What is wrong in a command line is said in our form, with the value and what is allowed."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksmrun.cli import run_app

CASES: list[tuple[dict[str, str], str, int, str]] = [
    (
        {"KSMRUN_REQUIRE": "banana"},
        "run true",
        125,
        "KSMRUN_REQUIRE=banana is not valid; give on or off",
    ),
    (
        {"KSMRUN_EXPECT_MAPS": "abc"},
        "run true",
        125,
        "KSMRUN_EXPECT_MAPS=abc is not valid; give a whole number from 1",
    ),
    (
        {},
        "run --expect-maps abc true",
        125,
        "--expect-maps=abc is not valid; give a whole number from 1",
    ),
    (
        {},
        "run --expect-maps=0 true",
        125,
        "--expect-maps=0 is not valid; give a whole number from 1",
    ),
    ({}, "run --merge=onn true", 125, "--merge=onn is not valid; give on, off or keep"),
    (
        {},
        "run --mergee=on true",
        125,
        "there is no option --mergee; did you mean --merge? see `ksmrun run --help`",
    ),
    ({}, "run --require=yes true", 125, "--require takes no value; give --require alone"),
    (
        {},
        "run --layout-group",
        125,
        "--layout-group has no value; add one after it: see `ksmrun run --help`",
    ),
    ({}, "run", 125, "no command given; see `ksmrun run --help`"),
    ({}, "run --mark-min=x true", 125, "--mark-min=x is not valid; give a size in bytes"),
    (
        {},
        "run --map-reserve=x true",
        125,
        "--map-reserve=x is not valid; give a share from 0% to below 100%",
    ),
    ({}, "explain", 2, "PID is missing; add it: see `ksmrun explain --help`"),
    ({}, "explain abc", 2, "PID abc is not valid; give a whole number from 1"),
    ({}, "explain 1 2", 2, "unexpected argument: 2; leave it out; see `ksmrun explain --help`"),
    ({}, "frob", 2, "there is no command frob; see `ksmrun --help` for the commands"),
    ({}, "host sett", 2, "there is no command sett; did you mean set? see `ksmrun host --help`"),
    ({}, "ab -n x -- true", 2, "--copies=x is not valid; give a whole number from 1"),
    ({}, "host tune", 2, "no goal is given"),
    (
        {},
        "host tune --profile=quick",
        2,
        "--profile=quick is not valid; give gentle, balanced or fast",
    ),
    (
        {},
        "host tune --max-cpu=120%",
        2,
        "--max-cpu=120% is not valid; give a share from 0.01% to 100%",
    ),
    (
        {},
        "host tune --max-cpu=0%",
        2,
        "--max-cpu=0% is not valid; give a share from 0.01% to 100%",
    ),
    (
        {},
        "host tune --scan-time=soon",
        2,
        "--scan-time=soon is not valid; give a time in seconds from 1 to 86400",
    ),
    (
        {},
        "host tune --profile=fast --max-cpu=5%",
        2,
        "--profile and --max-cpu both limit the CPU time of ksmd; give one of them",
    ),
    ({}, "host set", 2, "NAME=VALUE is missing; add it: see `ksmrun host set --help`"),
    ({}, "run --mark-min=1Z true", 125, "--mark-min=1Z is not valid; give a size in bytes up to"),
    # Bytes that are not UTF-8, and empty words.
    ({}, "frob\udcff", 2, r"there is no command frob\xff; see"),
    ({}, "help frob\udcff", 2, r"there is no command or topic 'frob\xff'; see"),
    ({}, "''", 2, "there is no command ''; see `ksmrun --help` for the commands"),
    ({}, "run --merge= true", 125, "--merge='' is not valid; give on, off or keep"),
    ({}, "report ''", 2, "FOLDER '' is not valid; give a path"),
    ({}, "wrap unit ''", 2, "'' is not a valid unit name; give it as"),
    ({}, "wrap quadlet ''", 2, "'' is not the name of a file; give it as in web.container"),
    ({}, "wrap image ''", 2, "'' is not a valid image name; see `ksmrun wrap image --help`"),
    ({}, "estimate --match ''", 2, "--match is empty; give a text after it; check the expression"),
    ({}, "attach --unit ''", 2, "--unit is empty; give a text after it; list the running units"),
    ({}, r"wrap unit 'a b'", 2, "'a b' is not a valid unit name; give it as"),
    ({}, "wrap runtime docker --config x", 2, "--config is for containerd, not for docker; leave"),
    (
        {},
        "monitor --print-unit --listen 'x y:1'",
        2,
        "listen = 'x y:1' is not an address; give HOST:PORT",
    ),
    # The complaint of the arm's own command line, once.
    (
        {},
        "ab -n 1 --ready-after 0 --arm x=--frob --arm y= -- true",
        2,
        "--arm x: there is no option --frob; see `ksmrun run --help`\n",
    ),
]
WITH_EXAMPLES = ["", "run", "check", "ps", "explain", "host"]
WITH_EXAMPLES += [f"host {name}" for name in ("on", "off", "unmerge", "set", "restore", "show")]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KSMRUN_REQUIRE", "KSMRUN_MERGE", "KSMRUN_EXPECT_MAPS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("variables", "line", "code", "said"), CASES)
def test_words(
    variables: dict[str, str],
    line: str,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run_app(shlex.split(line)) == code
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"ksmrun: {said}"), output.err
    assert output.err.count("\n") == 1, "one line"


@pytest.mark.parametrize("line", ["wrap compose", "wrap pod", "wrap image"])
def test_input_that_cannot_be_read(
    line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert run_app([*line.split(), "-"]) == 1
    assert capsys.readouterr().err.startswith("ksmrun: cannot read stdin: it is closed; ")
    with tmp_path.joinpath("binary").open("wb+") as file:
        file.write(b"\xff\0")
        file.seek(0)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
        assert run_app([*line.split(), "-"]) == 1
    said = capsys.readouterr().err
    assert re.search(r"(?m)^ksmrun: (stdin|the manifest) is not .*; ", said), said
    if line != "wrap image":
        assert run_app([*line.split(), str(tmp_path)]) == 1
        assert f"cannot read {tmp_path}: Is a directory; give " in capsys.readouterr().err


def test_a_file_as_the_folder_of_a_report(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tmp_path.joinpath("file").touch()
    assert run_app(["report", str(tmp_path / "file")]) == 1
    assert "; give the folder that `ksmrun ab --output` was given" in capsys.readouterr().err


def test_exit_codes_are_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    run_app(["ab", "--help"])
    codes = capsys.readouterr().out.partition("Exit codes:\n")[2]
    assert re.findall(r"(?m)^  (\d+) ", codes.partition("\n\n")[0]) == ["0", "1", "2", "3", "130"]


def test_without_a_command_the_help_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app([]) == 2
    output = capsys.readouterr()
    assert output.err.startswith("Usage: ksmrun COMMAND\n") and not output.out


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=300)


@given(WORDS, st.sampled_from(["run --merge=x", "run --x", "explain x", "ps --watch=x", "host x"]))
@settings(max_examples=60, deadline=None)
def test_any_word_gives_one_line_of_two_parts(word: str, before: str) -> None:
    output = io.StringIO()
    with contextlib.redirect_stderr(output):
        code = run_app((before + word).split(" ", 1))
    said = output.getvalue()
    assert code == (125 if before.startswith("run") else 2), said
    assert said.count("\n") == 1 and re.match(r"ksmrun: .+; .+\n", said), said
    assert len(said) < 700


@pytest.mark.parametrize("line", WITH_EXAMPLES)
def test_all_commands_have_examples(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app([*line.split(), "--help"]) == 0
    assert "Example: " in capsys.readouterr().out


@pytest.mark.parametrize("line", ["", "host"])
def test_a_group_without_a_command_shows_its_usage(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app(line.split()) == 2
    shown = capsys.readouterr()
    assert "Usage:" in shown.out + shown.err
