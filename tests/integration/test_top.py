"""`ksmrun top`: its single frame as text, its keys by Textual's pilot, its screen in tmux."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static
from waiting import LAST_RESORT_SECONDS, wait_until

from ksmrun.commands.top.frame import View
from ksmrun.commands.top.rows import Rows
from ksmrun.commands.top.screen import Top
from ksmrun.model.process import By, Sort

from .conftest import Run, Start

pytestmark = pytest.mark.own_pids

WIDTH, HEIGHT = 80, 24
Tmux = Callable[..., str]


def drive(script: Callable[[Top, Pilot[None]], Awaitable[None]], view: View | None = None) -> None:
    """Run the screen without a terminal, once the first observation is there."""

    async def run() -> None:
        app = Top(view or View(sort=Sort.NAME), 0.5)
        async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
            await until(pilot, lambda: app.found is not None)
            await script(app, pilot)

    asyncio.run(run())


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    for _ in range(300):
        if condition():
            return
        await pilot.pause(0.1)
    raise AssertionError("not reached in time")


def shown(app: Top) -> list[str]:
    """Return the lines of the table, without the cursor's style."""
    rows = app.screen_stack[0].query_one(Rows)
    lines = [rows.render_line(y).text.rstrip() for y in range(rows.size.height)]
    return [line for line in lines if line]


def text_of(app: Top, field: str) -> str:
    return str(app.screen.query_one(field, Static).content)


def test_once(run: Run, start: Start) -> None:
    assert "0 processes merge" in run("top", "--once").stdout
    pid = start("cat").pid
    lines = run("top", "--once").stdout.splitlines()
    assert lines[0].startswith("saved")
    assert re.match(r"ksmd +(on|off) +[0-9.]+% CPU .* full scan \d+", lines[1])
    assert lines[2] == "1 process merges"
    assert lines[5].split()[0] == "PID"
    assert lines[6].split()[0] == str(pid)
    (process,) = json.loads(run("top", "--json").stdout)["processes"]
    assert (process["pid"], process["name"]) == (pid, "cat")


def test_not_a_terminal_and_nothing_to_draw_with(run: Run) -> None:
    done = run("top")
    assert done.returncode == 1
    assert "--once" in done.stderr
    code = "import sys\nsys.modules['textual'] = None\nfrom ksmrun.cli import run_app\n"
    code += "sys.exit(run_app(['top']))"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    assert process.wait(timeout=LAST_RESORT_SECONDS) == 1
    said = os.read(ours, 4096).decode()
    os.close(ours)
    assert "ksmrun[top]" in said
    assert "Traceback" not in said


def test_sorted_grouped_and_opened(start: Start) -> None:
    cats, head = sorted(start("cat").pid for _ in range(2)), start("head").pid

    async def script(app: Top, pilot: Pilot[None]) -> None:
        assert [int(line.split()[0]) for line in shown(app)] == sorted([*cats, head])
        await pilot.press("s")
        assert app.view.sort is Sort.PROCESSES
        for _ in range(list(By).index(By.COMMAND)):
            await pilot.press("g")
        assert app.view.by is By.COMMAND
        assert [line.split()[0] for line in shown(app)] == ["2", "1"]
        await pilot.press("enter")
        assert [int(line.split()[0]) for line in shown(app)] == cats
        await pilot.press("escape")
        assert [line.split()[1] for line in shown(app)] == ["cat", "head"]

    drive(script)


def test_filtered_and_marked(start: Start) -> None:
    start("cat")
    head = start("head").pid

    async def script(app: Top, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *"HEAD")
        assert [int(line.split()[0]) for line in shown(app)] == [head]
        await pilot.press("enter", "space")
        assert shown(app)[0].split()[0] == f"+{head}"
        await until(pilot, lambda: "1 marked" in text_of(app, "#status"))
        await pilot.press("escape")
        assert len(shown(app)) == 2
        # The mark belongs to the row, wherever that is now.
        assert [line.split()[0] for line in shown(app) if "+" in line] == [f"+{head}"]
        await pilot.press("slash", *"nothing like it")
        assert shown(app) == []
        await pilot.press("enter", "space", "enter", "down", "end", "escape")
        assert len(shown(app)) == 2

    drive(script)


def test_a_process_and_its_end(start: Start) -> None:
    code = "data = b'x' * (16 << 20)\nprint('ready', flush=True)\ninput()"
    process = start(sys.executable, "-c", code)
    assert process.stdout is not None
    assert process.stdout.read(5) == b"ready"
    smaps = Path(f"/proc/{process.pid}/smaps").read_text()

    async def script(app: Top, pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        await until(pilot, lambda: "heap" in text_of(app, "#process"))
        text = text_of(app, "#process")
        assert f"PID {process.pid}, user root" in text
        (anonymous,) = [line for line in text.splitlines() if line.startswith("anonymous")]
        assert float(anonymous.split()[3]) > 16
        assert f"maps    {smaps.count('VmFlags')} of" in text
        # The table's keys do nothing here.
        await pilot.press("g", "space")
        assert app.view.by is By.PROCESS
        process.kill()
        process.wait()
        await until(pilot, lambda: "has ended" in text_of(app, "#process"))
        await pilot.press("escape")
        await until(pilot, lambda: not shown(app))

    drive(script)


def test_the_cursor_stays_on_its_row(start: Start) -> None:
    """While rows come and go, and where there are more than fit."""
    pids = sorted(start("cat").pid for _ in range(30))

    async def script(app: Top, pilot: Pilot[None]) -> None:
        rows = app.query_one(Rows)
        await pilot.press("end")
        assert shown(app)[-1].split()[0] == str(pids[-1])
        await pilot.press("home", *["down"] * 20)
        key = rows.key
        subprocess.run(["kill", str(pids[0])], check=True)
        await until(pilot, lambda: len(app.found.processes) == 29)  # type: ignore[union-attr]
        assert rows.key == key
        assert rows.cursor == 19

    drive(script)


@pytest.fixture
def tmux(ksmrun: str) -> Iterator[Tmux]:
    """Start a terminal with its own server, in which `ksmrun top` runs."""
    socket = f"ksmrun-{uuid.uuid4().hex[:8]}"

    def call(*words: str) -> str:
        command = ["tmux", "-L", socket, "-f", "/dev/null", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    # The shell stays, to show what is left behind.
    variables = f"NO_COLOR=1 COLUMNS={WIDTH} LINES={HEIGHT}"
    command = f"env {variables} {ksmrun} top --interval 0.5 --sort name"
    shell = f"{command}; echo code $?; exec cat"
    call("new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), shell)
    yield call
    call("kill-server")


def test_in_tmux_without_colour(tmux: Tmux, start: Start) -> None:
    pids = sorted(start("cat").pid for _ in range(3))

    def screen(*options: str) -> list[str]:
        return tmux("capture-pane", "-p", *options).splitlines()

    wait_until(lambda: any(str(pids[2]) in line for line in screen()))
    lines = screen()
    assert len(lines) == HEIGHT
    assert all(len(line) <= WIDTH for line in lines)
    assert "PID" in lines[4]
    assert "quit" in lines[-1]
    # Attributes only (the cursor is reversed), no colours.
    codes = {code for line in screen("-e") for code in re.findall(r"\x1b\[([0-9;]*)m", line)}
    assert {word for code in codes for word in code.split(";")} <= set("01247") | {"", "39", "49"}
    # The titles fill their line, so theirs may end at the beginning of the next.
    cursor = re.compile(rf"\x1b\[(0;)?7m(\x1b\[[34]9m)* *{pids[0]} ")
    assert any(cursor.match(line) for line in screen("-e"))
    tmux("send-keys", "Down", "Space")
    wait_until(lambda: any(f"+{pids[1]}" in line for line in screen()))
    tmux("resize-window", "-x", "30", "-y", "8")
    wait_until(lambda: len(screen()) == 8)
    wait_until(lambda: "quit" in "".join(screen()[-2:]))
    tmux("resize-window", "-x", str(WIDTH), "-y", str(HEIGHT))
    wait_until(lambda: "back" in screen()[-1])
    tmux("send-keys", "q")
    # Its screen is gone, and the shell's is as before.
    wait_until(lambda: screen()[0] == "code 0")
