"""Wraps of a service that is in trouble already, and without ksmrun."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import field
from pathlib import Path

import pytest

from ksmrun.commands.wrap.unit_apply import apply, take_away
from ksmrun.commands.wrap.unit_check import check_unit, describe
from ksmrun.facts.systemd import Systemd
from ksmrun.facts.wraps import find_wraps
from ksmrun.model.container import RuntimeEngine as Engine
from ksmrun.model.errors import KsmrunError
from ksmrun.model.frozen import dataclass
from ksmrun.model.wrap import DROP_IN, HEADER_MARK, LAUNCHER, Method, UnitFacts
from ksmrun.wrap import dropin, quadlet
from ksmrun.wrap.runtime import render

NAME = "a b.service"


@dataclass(frozen=True)
class Fake(Systemd):
    """A systemd whose service never starts."""

    state: str = "failed"
    result: str = "start-limit-hit"
    calls: list[tuple[str, ...]] = field(default_factory=list)

    def call(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        self.calls.append((program, *arguments))
        code = 1 if arguments[0] == "restart" else 0
        return subprocess.CompletedProcess([], code, "", "")

    def show(self, name: str) -> dict[str, str]:
        return {
            "Id": name,
            "LoadState": "loaded",
            "ActiveState": self.state,
            "SubState": self.state,
            "Result": self.result,
            "MemoryKSM": "yes",
        }


@pytest.mark.parametrize("user", [False, True])
def test_a_start_limit_is_reset_before_the_next_start(user: bool) -> None:
    (_, problem) = describe(check_unit(Fake(user), NAME))
    systemctl = "systemctl --user" if user else "sudo systemctl"
    name = shlex.quote(NAME)
    assert problem.startswith("it is not running (failed, start-limit-hit); to do: see why: ")
    assert ("sudo journalctl -u" in problem) is not user
    assert problem.endswith(f"{systemctl} reset-failed {name} && {systemctl} start {name}")
    (_, problem) = describe(check_unit(Fake(user, state="inactive"), NAME))
    assert problem == f"it is not running (inactive); to do: {systemctl} start {name}"


def test_only_keys_that_a_unit_made_go_with_the_last_wrap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wrote another key, as for containers, still needs it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    # Root's own folder has nothing to do with root's user manager.
    other = tmp_path / "layout/units/made.key"
    monkeypatch.setenv("KSMRUN_LAYOUT_DIR", str(other.parents[1]))
    keys = tmp_path / "run/ksmrun/layout/units"
    for folder in (keys, other.parent):
        folder.mkdir(parents=True)
    for key in (*(keys / f"{name}.key" for name in ("made", "needed", "by hand", "own")), other):
        key.write_bytes(bytes(32))
    units = tmp_path / ".config/systemd/user"
    drop_in, second = (units / f"{name}.service.d" / DROP_IN for name in "ab")
    for file, group in ((drop_in, "made"), (second, "needed")):
        file.parent.mkdir(parents=True)
        file.write_text(f"{HEADER_MARK}`\n[Unit]\nWants={dropin.KeyPlace(group, True).unit}\n")

    class Manager(Fake):
        def show(self, name: str) -> dict[str, str]:
            is_made = "own" not in name and "hand" not in name
            return {"ActiveState": "active" if is_made else "inactive"}

    systemd = Manager(user=True)
    assert take_away(systemd, [drop_in]) == [drop_in]
    assert {key.stem for key in keys.iterdir()} == {"needed", "by hand", "own"}
    assert other.exists()
    unit = dropin.KeyPlace("made", True).unit
    assert [call[-1] for call in systemd.calls if "stop" in call] == [unit]


@pytest.mark.parametrize(
    ("state", "said", "last"),
    [
        ("active", "the change was taken back", "restart"),
        ("failed", f"({NAME} had failed before, too, so its wrap need not be the cause)", "stop"),
        ("inactive", f"({NAME} did not run before, and is stopped again)", "reset-failed"),
    ],
)
def test_a_service_is_left_as_it_was(tmp_path: Path, state: str, said: str, last: str) -> None:
    file = tmp_path / f"{NAME}.d" / DROP_IN
    systemd = Fake(state=state)
    with pytest.raises(KsmrunError) as caught:
        apply(
            systemd,
            [(file, f"{HEADER_MARK}`\n")],
            compare=lambda: None,
            services=[NAME],
            judge=lambda _: None,
        )
    assert caught.value.what.endswith(said) and "journalctl" in caught.value.todo
    assert not file.exists()
    assert systemd.calls[-1][1] == last


def test_units_of_ksmrun_itself_are_no_wraps(tmp_path: Path) -> None:
    folder = tmp_path / "etc/systemd/system"
    folder.mkdir(parents=True)
    for name, command in (
        ("ksmrun-monitor.service", "monitor --print-unit"),
        ("ksmrun-host.service", "host install"),
    ):
        text = f"{HEADER_MARK}{command}`.\n[Service]\nExecStart={LAUNCHER.parent}/ksmrun x\n"
        (folder / name).write_text(text)
    assert find_wraps(tmp_path) == ()


@pytest.mark.parametrize("scope", ["", "--user "])
@pytest.mark.parametrize("kind", ["unit", "quadlet"])
def test_drop_ins_say_how_to_undo_them_without_ksmrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: str, kind: str
) -> None:
    """The line, run by a shell where systemctl and sudo only note what they are asked."""
    unit = UnitFacts(NAME, False, (), {}, ())
    text = (
        dropin.render(unit, Method.MEMORY_KSM, (), (), None, scope)
        if kind == "unit"
        else quadlet.render("a b.container", None, scope, require=False)
    )
    (line,) = [line for line in text.splitlines() if line.startswith("# Without ksmrun: ")]
    asked = tmp_path / "asked"
    for name in ("sudo", "systemctl", "rm"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\nfor word in {name} "$@"; do echo "$word"; done >>{asked}\n')
        program.chmod(0o755)
    monkeypatch.setenv("HOME", "/home/x")
    subprocess.run(
        ["/bin/sh", "-c", line.removeprefix("# Without ksmrun: ")],
        env={"PATH": str(tmp_path), "HOME": "/home/x"},
        check=True,
    )
    place = {"unit": "systemd/user", "quadlet": "containers/systemd"}[kind]
    folder = f"/home/x/.config/{place}" if scope else f"/etc/{place.replace('user', 'system')}"
    file = f"{folder}/{NAME if kind == 'unit' else 'a b.container'}.d/{DROP_IN}"
    words = asked.read_text().splitlines()
    assert [word for word in words if word.startswith("/")] == [file]
    assert [word for word in words if word in ("daemon-reload", "restart", NAME)] == [
        *("daemon-reload", "restart", NAME)
    ]
    assert ("--user" in words) == bool(scope) and ("sudo" in words) == (not scope)


@pytest.mark.parametrize("engine", list(Engine))
def test_each_runtime_says_how_to_undo_it(engine: Engine) -> None:
    assert any("to undo it: " in note for note in render(engine, False, config="").notes)


def test_podmans_docker_api_is_named() -> None:
    assert any("Docker API ignores" in note for note in render(Engine.PODMAN, False).notes)
