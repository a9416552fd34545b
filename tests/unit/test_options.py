"""Command line, help, variables and configuration keys are those of the table of options."""

from __future__ import annotations

import dataclasses
import re
import shlex
from enum import StrEnum
from itertools import combinations
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.cli import build_app
from ksmrun.commands.declare import declare
from ksmrun.model.errors import EXIT_USAGE, KsmrunError, UsageError
from ksmrun.model.launch import Request
from ksmrun.options.command import Command
from ksmrun.options.item import Item, Kind, choice, items, number, option, seconds, share, switch
from ksmrun.options.launch import LaunchOptions, WrapOptions
from ksmrun.options.monitor import MonitorKeys
from ksmrun.options.parse import form, parse, shown_default
from ksmrun.options.show import help_text
from ksmrun.options.table import leaves, top
from ksmrun.watch.config import load

LEAVES = leaves()
# Of click's, which typer may have in itself.
APP: Any = typer.main.get_command(build_app())


def parser_of(words: tuple[str, ...]) -> Any:
    found = APP
    for word in words:
        found = found.commands[word]
    return found


@pytest.mark.parametrize("command", LEAVES, ids=lambda each: each.line)
def test_the_command_line_has_the_options_of_the_table(command: Command) -> None:
    parser = parser_of(command.words)
    found = {name for each in parser.params for name in (*each.opts, *each.secondary_opts)}
    wanted = {name for item in command.flags for name in item.names}
    assert found - {"--help", "-h"} - {item.attribute for item in command.arguments} == wanted
    assert {"--help", "-h"} <= set(parser.context_settings["help_option_names"])


def test_the_table_has_all_commands() -> None:
    """A command that is registered without it would have neither manual page nor completion."""

    def walk(parser: Any, words: tuple[str, ...]) -> set[tuple[str, ...]]:
        inner = getattr(parser, "commands", {})
        return {words}.union(*(walk(each, (*words, name)) for name, each in inner.items()))

    assert walk(APP, ()) == {each.words for each in (top(), *top().commands, *LEAVES)}


@pytest.mark.parametrize("command", (top(), *top().commands, *LEAVES), ids=lambda each: each.line)
@pytest.mark.parametrize("columns", [40, 80, 100])
def test_help_is_plain_whole_and_narrow(command: Command, columns: int) -> None:
    text = help_text(command, columns)
    assert text.isascii()
    words = " ".join(text.split())
    for item in items(command.options):
        assert all(name in words for name in item.names)
        assert " ".join(item.help.split()) in words
        assert not (default := shown_default(item)) or f"Default: {default}." in words
        assert (f"Variable: {item.variable}." in words) == bool(
            item.variable and command.reads_variables
        )
    for each in command.commands:
        assert each.summary in words
    assert command.examples
    # Examples, names and choices are not broken; all else is as narrow as was asked for.
    long = [line for line in text.split("\n") if len(line) > columns and " " in line.strip()]
    assert all(line.startswith(("Example: ", "Usage: ", "  -")) for line in long)


@pytest.mark.parametrize("command", LEAVES, ids=lambda each: each.line)
def test_examples_are_of_the_table(command: Command) -> None:
    """Each parses, down to the values."""
    for _, line in command.examples:
        if "ksmrun " not in line:
            continue
        # Up to the end of a pipe's first command, or of a command substitution.
        words = shlex.split(re.split(r' \| |>>|\)"', line.partition(command.line)[2])[0])
        raw = parser_of(command.words).make_context("x", words).params
        for item in items(command.options):
            given = raw[item.attribute]
            for each in given if isinstance(given, list | tuple) else [given]:
                if each is not None and "$" not in str(each):
                    parse(item, item.name, each)


@pytest.mark.parametrize("command", LEAVES, ids=lambda each: each.line)
def test_texts_begin_with_a_verb_or_noun(command: Command) -> None:
    for text in (command.summary, *(item.help for item in items(command.options))):
        assert text.split()[0] not in {"Of", "Those", "What", "Whether", "That", "Which", "As"}
        assert text[0].isupper()
    assert not command.summary.endswith(".")


@given(st.data())
def test_a_command_can_be_repeated_as_it_was_typed(data: st.DataObject) -> None:
    """As after `sudo` in a message."""
    words = []
    for item in data.draw(st.lists(st.sampled_from(items(LaunchOptions)), unique=True)):
        text = data.draw(texts(item))
        switch_names = st.sampled_from([*filter(None, (item.name, item.negative))])
        words.append(data.draw(switch_names) if item.kind is Kind.SWITCH else f"{item.name}={text}")
    lines: list[tuple[str, ...]] = []
    app = typer.Typer()
    command = Command(("x",), "X", (), LaunchOptions)
    declare(app, command, lambda _, given: lines.append(given.line))
    parser: Any = typer.main.get_command(app)
    parser.main(words, standalone_mode=False)
    assert sorted(lines[0]) == sorted(["x", *words])
    parser.main(list(lines[0][1:]), standalone_mode=False)
    assert lines[0] == lines[1]


# Switches of commands that then change nothing, and of those that ask for a change.
LOOKS, CHANGES = {"--print", "--dry-run", "--check"}, {"--remove", "--now"}


@pytest.mark.parametrize(
    ("command", "pair"),
    [
        (command, pair)
        for command in LEAVES
        for pair in combinations([item.name for item in command.flags], 2)
        if LOOKS & {*pair} and {*pair} <= LOOKS | CHANGES
    ],
    ids=lambda each: each.line if isinstance(each, Command) else " ".join(each),
)
def test_who_only_looks_changes_nothing(command: Command, pair: tuple[str, str]) -> None:
    """The command is not even begun, in either order."""
    begun: list[Any] = []
    app = typer.Typer()
    declare(app, command, begun.append)
    needed = ["x" for item in command.arguments if item.is_required]
    for words in (pair, pair[::-1]):
        with pytest.raises(UsageError) as caught:
            typer.main.get_command(app).main([*words, *needed], standalone_mode=False)
        assert caught.value.what.endswith("exclude each other") and not begun
        assert all(name in caught.value.what for name in pair)


def test_only_options_of_the_command_exclude_each_other() -> None:
    for command in LEAVES:
        assert {name for names in command.excludes for name in names} <= {
            item.name for item in command.flags
        }


def texts(item: Item) -> st.SearchStrategy[str]:
    """Generate what may be typed for it."""
    if item.choices:
        return st.sampled_from(item.choices)
    if item.kind is Kind.SWITCH:
        return st.just("on")
    if item.kind in (Kind.TEXT, Kind.PATH):
        return st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1)
    least = item.least or 0
    most = least + 1000 if item.most is None else item.most
    if item.kind in (Kind.WHOLE, Kind.SIZE):
        return st.integers(int(least), int(most)).map(str)
    return st.floats(least, most, exclude_max=item.below_most).map(str)


def launched(words: list[str]) -> Any:
    """Return the options that a command with the table of launches gets."""
    found: list[LaunchOptions] = []
    app = typer.Typer()
    declare(app, Command(("x",), "X", (), LaunchOptions, reads_variables=True), found.append)
    typer.main.get_command(app).main(words, standalone_mode=False)
    return found[0]


@given(st.data())
def test_a_variable_means_what_the_option_means(data: st.DataObject) -> None:
    environment, words = {}, []
    for item in data.draw(st.lists(st.sampled_from(items(LaunchOptions)), unique=True)):
        assert item.variable
        text = data.draw(texts(item))
        environment[item.variable] = text
        words.append(item.name if item.kind is Kind.SWITCH else f"{item.name}={text}")
    expected = launched(words)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        assert launched([]) == expected


@given(st.data())
def test_a_key_means_what_the_option_means(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Named with - or _, its value in quotes or as TOML has numbers."""
    lines, values = [], {}
    for item in data.draw(st.lists(st.sampled_from(items(MonitorKeys)), unique=True)):
        if item.attribute in ("listen", "on_alert", "cpus", "idle"):
            continue
        text = data.draw(texts(item))
        values[item.attribute] = parse(item, item.name, True if item.kind is Kind.SWITCH else text)
        key = data.draw(st.sampled_from([item.key, item.key.replace("_", "-"), item.attribute]))
        is_number = item.least is not None and "e" not in text
        lines.append(
            f"{key} = {text}"
            if is_number
            else f"{key} = {'true' * (item.kind is Kind.SWITCH) or repr(text)}"
        )
    file = tmp_path_factory.mktemp("config") / "config.toml"
    file.write_text("[monitor]\n" + "\n".join(lines))
    found = load(file, {})
    assert {name: getattr(found, name) for name in values} == values


def test_every_launch_option_reaches_the_request() -> None:
    fields = {field.name for field in dataclasses.fields(Request)} - {"command", "layout"}
    layout = {"layout", "layout_group", "layout_scope", "seeds"}
    assert {item.attribute for item in items(LaunchOptions)} == fields | layout
    assert {item.attribute for item in items(WrapOptions)} <= fields | layout
    for kind in (WrapOptions, LaunchOptions):
        assert kind().request((b"x",)) == Request((b"x",))
        for name in {item.attribute for item in items(kind)} - layout:
            # The request passes on whatever it is given.
            given: dict[str, Any] = {name: "another"}
            request = dataclasses.replace(kind(), **given).request((b"x",))
            assert request == dataclasses.replace(Request((b"x",)), **given)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass(frozen=True)
class Table:
    times: float = seconds("Time.", 5.0, least=1.0, most=60.0)
    part: float = share("Share.", 0.2, below_most=True)
    many: tuple[str, ...] = option("Text.", is_many=True)
    colour: Colour = choice("Colour.", Colour.RED)  # noqa: RUF009
    factor: float | None = number("Factor.")
    loud: bool = switch("Loud.")


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("times", "1.5", 1.5),
        ("times", "1m", 60.0),
        ("times", 30, 30.0),
        ("part", "20%", 0.2),
        ("part", 0.5, 0.5),
        ("colour", "blue", Colour.BLUE),
        ("factor", "-1e3", -1000.0),
        ("loud", "YES", True),
        ("loud", False, False),
    ],
)
def test_values(name: str, given: object, value: object) -> None:
    (item,) = (each for each in items(Table) if each.attribute == name)
    assert parse(item, "here", given) == value


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        (
            "times",
            "inf",
            "=inf is not valid; give a time in seconds from 1 to 60, as in 10, 1.5, 90s or 5m",
        ),
        ("times", "nan", "=nan is not"),
        ("times", "1e300", "=1e300 is not"),
        ("times", "5%", "=5% is not"),
        ("times", True, "=True is not"),
        ("part", "100%", "=100% is not valid; give a share from 0% to below 100%"),
        ("part", "5m", "=5m is not"),
        ("colour", "green", "=green is not valid; give red or blue"),
        ("factor", "1e999", "=1e999 is not valid; give a number"),
        ("factor", "٣", "=٣ is not"),
        ("loud", "banana", "=banana is not valid; give on or off"),
        ("colour", "x" * 5000, "xxx..."),
    ],
)
def test_wrong_values(name: str, given: object, said: str) -> None:
    (item,) = (each for each in items(Table) if each.attribute == name)
    with pytest.raises(KsmrunError) as caught:
        parse(item, "--here", given)
    assert said in str(caught.value)
    assert caught.value.exit_code == EXIT_USAGE and len(str(caught.value)) < 300
    assert form(item) in caught.value.todo
