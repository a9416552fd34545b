"""Command lines that are read without typer mean what they mean to typer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import typer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ksmrun.commands.declare import Declared, Registry
from ksmrun.commands.typer_app import typer_app
from ksmrun.options.command import HELP
from ksmrun.options.item import Kind
from ksmrun.options.launch import RUN
from ksmrun.options.ps import PS
from ksmrun.options.show import help_text, width
from ksmrun.options.table import leaves
from ksmrun.options.words import read_words
from ksmrun.usage import TyperUsageError

LEAVES = leaves()
VALUES = st.sampled_from(["", "x", "1", "-", "--", "-x", "--x", "=", "a=b", "é", "\udcff", "on"])
VALUES_PLAIN = ["x", "1", "-", "", "a=b"]
HELP_SHOWN = ("the help",)


class Caught(Exception):
    """What typer made of the words."""


class Catching(Declared):
    """Command that is not carried out."""

    def call(self, raw: Mapping[str, Any], rest: tuple[str, ...]) -> None:
        raise Caught({name: each for name, each in raw.items() if each not in (None, [])}, rest)


def app_of(command: Any) -> Any:
    registry = Registry()
    registry.declared[command.words[-1:]] = Catching(command, print)
    return typer.main.get_command(typer_app(registry))


APPS = {command.words: app_of(command) for command in LEAVES}


def by_typer(command: Any, words: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    try:
        APPS[command.words].main([command.name, *words], standalone_mode=False)
    except Caught as caught:
        return caught.args
    except TyperUsageError:
        return None
    assert capsys.readouterr().out == help_text(command, width()) + "\n"
    return HELP_SHOWN


@st.composite
def lines(draw: st.DrawFn) -> tuple[Any, list[str]]:
    """Generate lines that are nearly correct, of any command."""
    command = draw(st.sampled_from(LEAVES))
    names = [name for item in command.flags for name in item.names]
    parts: list[st.SearchStrategy[list[str]]] = [st.sampled_from([*VALUES_PLAIN, "--"]).map(one)]
    parts.append(st.sampled_from([*HELP, "--no-such", "-n5", "-abc"]).map(one))
    if names:
        name = st.sampled_from(names)
        switches = [n for i in command.flags if i.kind is Kind.SWITCH for n in i.names]
        parts += [
            st.tuples(name, VALUES).map(list),
            st.builds("{}={}".format, name, VALUES).map(one),
        ]
        parts += [st.sampled_from(switches).map(one)] * (2 if switches else 0)
    found = draw(st.lists(st.one_of(parts), max_size=5))
    return command, [word for part in found for word in part]


def one(word: str) -> list[str]:
    return [word]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines())
@example((RUN, ["--quiet", "sh", "-c", "--", "x"]))
@example((RUN, ["--merge", "--", "--", "x"]))
@example((PS, ["--sort", "--help"]))
def test_words(capsys: pytest.CaptureFixture[str], line: tuple[Any, list[str]]) -> None:
    """None at worst: typer then explains them."""
    command, words = line
    found = read_words(command, words)
    if found is not None:
        expected = HELP_SHOWN if found.is_help else (found.raw, found.rest)
        assert by_typer(command, words, capsys) == expected


@pytest.mark.parametrize("command", LEAVES, ids=lambda each: each.line)
def test_correct_lines_need_no_typer(command: Any) -> None:
    words = []
    for item in command.flags:
        is_alone = item.kind is Kind.SWITCH or bool(item.bare)
        words += [item.name] if is_alone else [item.name, "x", f"{item.name}=y"]
    words += ["x" for item in command.arguments if item.is_required]
    assert read_words(command, words) is not None
    help_found = read_words(command, [*words, "--help"])
    assert help_found is not None
    assert help_found.is_help or command.passes
