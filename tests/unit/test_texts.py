"""Texts on topics and the README name what exists: options, variables, commands and topics."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import ksmrun
from ksmrun.cli import build_app, run_app
from ksmrun.model.quantities import METRICS
from ksmrun.options.completion import entries
from ksmrun.options.item import items
from ksmrun.options.launch import RunOptions
from ksmrun.options.native import EXEC_OPTIONS, OCI_ANNOTATIONS, OCI_OPTIONS
from ksmrun.options.pages import VARIABLES
from ksmrun.options.parse import parse
from ksmrun.options.table import command, leaves, top
from ksmrun.options.texts import page_of, texts

TEXTS = texts()
# Elsewhere the package is tested as installed, beside a source tree.
ROOT = next(each for each in Path(__file__).parents if (each / "pyproject.toml").is_file())
DOCUMENTS = TEXTS | {"README": (ROOT / "README.md").read_text(encoding="utf-8")}
COMMANDS = {each.words: each for each in (top(), *top().commands, *leaves())}
NATIVE = (*EXEC_OPTIONS, *OCI_OPTIONS, *OCI_ANNOTATIONS)
OPTIONS = {name for each in COMMANDS.values() for item in each.flags for name in item.names}
OPTIONS |= {re.split(r"[= \[]", name)[0] for name, _ in NATIVE}
# Options of other programs that the texts name.
OTHERS = {
    *("--check", "--ignore-missing", "--no-index", "--find-links"),
    *("--runtime", "--full", "--version", "--help", "--random-seed", "--single-threaded"),
    *("--no-incremental-marking", "--hash-seed", "--port"),
    *("--allow-untrusted", "--configure", "--env", "--replicas"),
    *("--lazy-apps", "--workers", "--nworkers", "--estimate"),
    *("--ksm", "--ksm-layout", "--dependency", "--kill-on-invalid-dep", "--multi-prog"),
    *("--limit", "--prefix", "--target"),
}
SET_BY_US = {"KSMRUN_SHIM", "KSMRUN_OCI"}
ALERTS = {"KIND", "STATE", "SUBJECT", "MESSAGE", "TODO", "PID", "VALUE", "LIMIT", "DOMAIN", "UNIT"}
APP: Any = typer.main.get_command(build_app())


def lines_of(text: str) -> Iterator[str]:
    """Yield the command lines of ksmrun: indented ones, and those in backquotes."""
    flat = re.sub(r"\n(?! {4}|\|)", " ", text)
    for found in re.findall(r"^ {4}(.*)$", text, re.M) + re.findall(r"`([^`\n]+)`", flat):
        line = re.sub(r"\s+#.*", "", found.replace("\\|", "|"))
        line = re.split(r" (?:\||>>|&&) ?", line)[0].removeprefix("sudo ")
        if line.startswith("ksmrun "):
            yield line


LINES = sorted({(name, line) for name, text in DOCUMENTS.items() for line in lines_of(text)})


@pytest.mark.parametrize(("where", "line"), LINES)
def test_a_command_line_can_be_parsed(where: str, line: str) -> None:
    del where
    words = shlex.split(line.replace("...", ""))[1:]
    found, path = APP, []
    while words and hasattr(found, "commands") and not words[0].startswith("-"):
        assert words[0] in found.commands, line
        path.append(words[0])
        found = found.commands[words.pop(0)]
    if not words or hasattr(found, "commands"):
        return
    # A placeholder where a number is wanted, and the first of alternatives.
    words = ["1" if word == "PID" else word.partition("|")[0] for word in words]
    given = found.make_context(line, words).params
    for item in items(COMMANDS[tuple(path)].options):
        value = given[item.attribute]
        for each in value if isinstance(value, tuple | list) else (value,):
            if isinstance(each, str):
                parse(item, item.name, each)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_options_exist(name: str) -> None:
    found = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", DOCUMENTS[name]))
    assert found <= OPTIONS | OTHERS


@pytest.mark.parametrize("name", DOCUMENTS)
def test_variables_exist(name: str) -> None:
    known = {item.variable for item in items(RunOptions)} | {each for each, _ in VARIABLES}
    known |= SET_BY_US | {f"KSMRUN_ALERT_{each}" for each in ALERTS}
    assert set(re.findall(r"\bKSMRUN_[A-Z_]*[A-Z]\b", DOCUMENTS[name])) <= known


def test_all_variables_of_the_table_are_described() -> None:
    known = {item.variable for item in items(RunOptions) if item.variable}
    known |= {name for name, _ in VARIABLES}
    assert all(f"| {name} |" in TEXTS["files-and-environment"] for name in known)


def test_all_options_of_run_are_described() -> None:
    for item in items(RunOptions):
        assert any(name in TEXTS["run"] for name in item.names), item.name


@pytest.mark.parametrize("name", DOCUMENTS)
def test_named_topics_exist(name: str) -> None:
    for topic in re.findall(r"ksmrun help ([a-z-]+)", DOCUMENTS[name]):
        assert topic in TEXTS or (topic,) in COMMANDS


def test_all_kinds_of_alerts_are_described() -> None:
    files = Path(ksmrun.__file__).parent.glob("watch/*conditions.py")
    source = "".join(file.read_text() for file in files)
    kinds = set(re.findall(r'^        "([a-z]+-[a-z-]+)",$', source, re.M))
    assert len(kinds) > 5
    assert kinds == set(re.findall(r"^\| ([a-z]+-[a-z-]+) \|", TEXTS["alerts"], re.M))


def test_the_readme_is_short() -> None:
    lines = DOCUMENTS["README"].splitlines()
    assert len(lines) <= 150
    assert all(len(line) <= 100 for line in lines)


@pytest.mark.parametrize("topic", TEXTS)
def test_help_shows_a_text(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["help", topic]) == 0
    shown = capsys.readouterr().out
    for heading, _ in page_of(topic, TEXTS[topic]).sections:
        assert f"\n{heading}\n" in shown
    if (topic,) in COMMANDS:
        assert command(topic).usage in shown


def test_help_and_completion_list_the_texts(capsys: pytest.CaptureFixture[str]) -> None:
    offered = {each.name for each in entries() if each.command == "help"}
    assert TEXTS.keys() <= offered
    assert run_app(["help"]) == 0
    listed = capsys.readouterr().out.rpartition("Topics of")[2]
    assert all(topic in re.findall(r"[a-z-]+", listed) for topic in TEXTS)


def test_a_terminal_gets_markup_and_a_pipe_does_not() -> None:
    line = [sys.executable, "-m", "ksmrun", "help", "troubleshooting"]
    environment = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", "COLUMNS": "80"}
    environment.pop("NO_COLOR", None)
    piped = subprocess.run(line, env=environment, capture_output=True, check=True).stdout
    assert b"\x1b" not in piped and b"KSMD EATS A CORE" in piped
    ours, theirs = pty.openpty()
    with subprocess.Popen(line, env=environment, stdout=theirs) as shown:
        os.close(theirs)
        seen = b""
        try:
            while part := os.read(ours, 65536):
                seen += part
        except OSError:
            pass  # The end of a terminal is EIO (pty(7)).
    os.close(ours)
    assert shown.returncode == 0 and b"\x1b[" in seen and b"ksmd eats a core" in seen


def test_a_table_is_a_list_of_terms() -> None:
    table = "| a | b | c |\n|---|---|---|\n| 1 \\| 2 | **x** | y |"
    text = f"# Title\n\nA `b`.\n\n## Part\n\n{table}\n\n- i\n  j\n- k\n"
    page = page_of("it", text)
    assert page.summary == "title"
    (_, first), (_, second), _ = page.sections
    assert first == ("A `b`.",)
    assert second[0].rows == (("1 | 2", "b: x; c: y"),)  # type: ignore[union-attr]
    assert second[1:] == ("- i j", "- k")


def test_the_metrics_of_an_experiment_are_listed() -> None:
    rows = [f"| {each.word} | {each.id} | {each.help} |" for each in METRICS.values()]
    lines = DOCUMENTS["ab"].split("\n")
    assert [line for line in lines if line.startswith("| ")][1:] == rows
