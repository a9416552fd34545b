"""Completion offers the options of the table and what this host has, at once and without Python."""

from __future__ import annotations

import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ksmrun.options.command import Command
from ksmrun.options.item import items
from ksmrun.options.table import leaves, top

Complete = Callable[..., dict[str, str]]
# The median of many is taken, as the host may be busy.
KEY_SECONDS_MAX = 0.05


@pytest.fixture
def complete(ksmrun: str) -> Complete:
    def ask(*words: str, **environment: str) -> dict[str, str]:
        done = subprocess.run(
            [ksmrun, "--front=complete", *words],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        rows = (line.partition("\t") for line in done.stdout.splitlines())
        return {value: text for value, _, text in rows}

    return ask


@pytest.mark.parametrize("command", leaves(), ids=lambda each: each.line)
def test_the_options_are_those_of_the_table(complete: Complete, command: Command) -> None:
    if command.words == ("help",):
        return
    wanted = {name for item in command.flags for name in item.names}
    # Without a word of its own, its value is part of the name.
    wanted |= {
        f"{each.name}={value}" for each in command.flags if each.bare for value in each.choices
    }
    assert complete(*command.words, "-").keys() == wanted | {"-h", "--help"}
    for item in items(command.options):
        if item.choices and not item.is_argument and not item.bare:
            assert tuple(complete(*command.words, item.name, "")) == item.choices
            start = item.choices[-1][:2]
            joined = complete(*command.words, f"{item.name}={start}")
            assert f"{item.name}={item.choices[-1]}" in joined
            # As bash divides it.
            assert item.choices[-1] in complete(*command.words, item.name, "=", start)


def test_commands(complete: Complete) -> None:
    assert complete("") == {each.name: each.summary for each in top().commands}
    for group in top().commands:
        if group.commands:
            assert complete(group.name, "").keys() == {each.name for each in group.commands}
            assert complete("help", group.name, "").keys() == complete(group.name, "").keys()


def test_values_of_this_host(complete: Complete, tmp_path: Path) -> None:
    name = Path("/proc/self/comm").read_text().strip()
    assert complete("explain", str(os.getpid())[:-1])[str(os.getpid())] == name
    ksm = Path("/sys/kernel/mm/ksm")
    if ksm.exists():
        shown = complete("host", "set", "max_page")
        assert shown == {
            f"max_page_sharing={(ksm / 'max_page_sharing').read_text().strip()}": "present value"
        }
    (tmp_path / "groups").mkdir()
    (tmp_path / "groups" / "games").touch()
    (tmp_path / "groups" / "a\nb").touch()
    groups = complete("run", "--layout-group", "", KSMRUN_LAYOUT_DIR=str(tmp_path))
    assert groups.keys() == {"default", "games"}


def test_a_name_cannot_steer_the_terminal(complete: Complete) -> None:
    code = r"open('/proc/self/comm', 'w').write('a\x1b[2J'); print(flush=True); input()"
    program = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert program.stdout is not None
        program.stdout.readline()
        assert complete("explain", str(program.pid))[str(program.pid)] == "a?[2J"
    finally:
        program.kill()
        program.communicate()


def test_the_program_is_completed_by_the_shell(complete: Complete) -> None:
    assert list(complete("run", "--merge", "off", "--", "")) == [":command"]
    assert list(complete("run", "--merge=off", "")) == [":command"]
    assert list(complete("run", "--require", "nice", "--merge")) == [":rest 2"]
    assert list(complete("monitor", "--config", "")) == [":file"]


def test_a_key_press_is_answered_at_once(complete: Complete) -> None:
    for words in (("",), ("host", "set", ""), ("explain", ""), ("attach", "--unit", "")):
        times = []
        for _ in range(15):
            start = time.perf_counter()
            complete(*words)
            times.append(time.perf_counter() - start)
        assert statistics.median(times) < KEY_SECONDS_MAX


def in_bash(ksmrun: str, *words: str) -> list[str]:
    script = subprocess.run(
        [ksmrun, "completion", "bash"], capture_output=True, text=True, check=True
    ).stdout
    script += f"COMP_WORDS=({shlex.quote(ksmrun)} {shlex.join(words)})\nCOMP_CWORD={len(words)}\n"
    script += f"COMP_TYPE=9\n_ksmrun x {shlex.quote(words[-1])} y\n"
    script += 'printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_bash(ksmrun: str) -> None:
    assert in_bash(ksmrun, "host", "unm") == ["unmerge"]
    assert in_bash(ksmrun, "run", "--merge", "=", "o") == ["on", "off"]
    assert "--map-reserve" in in_bash(ksmrun, "run", "--m")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_parse(ksmrun: str, shell: str) -> None:
    script = subprocess.run(
        [ksmrun, "completion", shell], capture_output=True, text=True, check=True
    ).stdout
    assert "--front=complete" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)
