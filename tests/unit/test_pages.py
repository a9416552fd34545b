"""Manual pages name the options of the table, and those of the native programs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import ksmrun
from ksmrun.cli import run_app
from ksmrun.options.item import items
from ksmrun.options.made import main
from ksmrun.options.monitor import MonitorKeys
from ksmrun.options.native import EXEC_OPTIONS, OCI_ANNOTATIONS, OCI_OPTIONS
from ksmrun.options.page import Page, plain, roff
from ksmrun.options.pages import TOPICS, of_command, pages
from ksmrun.options.parse import shown_default
from ksmrun.options.table import leaves, top

LIBEXEC = Path(ksmrun.__file__).parent / "libexec"
PAGES = pages()
COMMANDS = {each.words: each for each in (top(), *top().commands, *leaves())}


def words_of(page: Page) -> str:
    return " ".join(" ".join(plain(page, 80)).split())


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_page_has_what_the_table_has(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    text = words_of(of_command(command, ()))
    for item in items(command.options):
        assert all(name in text for name in item.names)
        assert " ".join(item.help.split()) in text
        assert not (default := shown_default(item)) or f"Default: {default}." in text
        assert not (item.variable and command.reads_variables) or item.variable in text
    for what, line in command.examples:
        assert what in text and " ".join(line.split()) in text
    options = {name for item in command.flags for name in item.names} | {"-h", "--help"}
    listed = " ".join(plain(of_command(command, ()), 500)).partition(" OPTIONS")[2]
    listed = listed.partition("EXIT STATUS")[0]
    assert set(re.findall(r"    (-[-a-z]+)", listed)) <= options


def test_names() -> None:
    names = {page.reference for page in PAGES}
    assert len(names) == len(PAGES)
    assert {"ksmrun(1)", "ksmrun-run(1)", "ksmrun-exec(1)", "ksmrun-oci(8)"} <= names
    assert {"ksmrun.toml(5)", "ksmrun(7)", *TOPICS.values()} <= names
    for page in PAGES:
        for reference in re.findall(r"(?<![\w.-])ksmrun[a-z.-]*\(\d\)", words_of(page)):
            assert reference in names, f"{page.reference} refers to {reference}"


def test_keys() -> None:
    (page,) = (each for each in PAGES if each.name == "ksmrun.toml")
    text = words_of(page)
    for item in items(MonitorKeys):
        assert f"{item.key} = " in text


@pytest.mark.parametrize(
    ("program", "option", "table"),
    [
        ("ksmrun-exec", "--help", EXEC_OPTIONS),
        ("ksmrun-oci", "--ksmrun-help", (*OCI_OPTIONS, *OCI_ANNOTATIONS)),
    ],
)
def test_native_programs(program: str, option: str, table: tuple[tuple[str, str], ...]) -> None:
    done = subprocess.run([LIBEXEC / program, option], capture_output=True, text=True, check=True)
    pattern = r"(?m)^  (?:or )?((?:--|ksmrun\.)[a-z0-9-]+)"
    found = set(re.findall(pattern, done.stdout))
    named = {re.split(r"[= ]", name)[0] for name, _ in table}
    assert named - {"--version", "--help"} == found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.reference)
def test_pages_are_sound(page: Page) -> None:
    for columns in (60, 80):
        for line in plain(page, columns):
            assert line.isascii()
    text = roff(page, "1.2")
    assert text.isascii() and text.startswith('.\\" ')
    for line in text.splitlines():
        assert not line.startswith("'")
        assert not line.startswith(".") or re.match(r"\.(\\\"|TH|SH|PP|TP|nf|fi|RS|RE|nh|ad)", line)
    if shutil.which("groff"):
        done = subprocess.run(
            ["groff", "-man", "-Tascii", "-ww", "-z"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""


def test_what_is_built(tmp_path: Path) -> None:
    main(tmp_path, "1.2")
    for page in PAGES:
        assert (tmp_path / "man" / page.file).read_text() == roff(page, "1.2")
    assert (tmp_path / "completion_table.inc").read_text().count('    "0-"') > 30


def test_help_shows_each(capsys: pytest.CaptureFixture[str]) -> None:
    for words in COMMANDS:
        if words:
            assert run_app(["help", *words]) == 0
            assert capsys.readouterr().out.startswith(f"NAME\n    ksmrun-{'-'.join(words)} - ")
    for topic in (*TOPICS, "ksmrun.toml(5)", "ksmrun-wrap-unit"):
        assert run_app(["help", topic]) == 0
        assert capsys.readouterr().out.startswith("NAME\n")
    assert run_app(["help"]) == 0
    assert all(topic in capsys.readouterr().out for topic in ["exit-codes"])
    assert run_app(["help", "rnu"]) == 2
    assert "did you mean `ksmrun help run`?" in capsys.readouterr().err
