"""Commands in messages do what they say when they are pasted."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.cli import run_app
from ksmrun.model import wrap
from ksmrun.support import paste
from ksmrun.support.paste import pasteable


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an installation in a folder with a space, which neither PATH nor sudo has."""
    folder = tmp_path / "a venv"
    folder.mkdir()
    for name in ("ksmrun", ".ksmrun-py"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(folder / ".ksmrun-py")])
    monkeypatch.setattr(paste, "SECURE_PATH", str(tmp_path / "sbin"))
    return folder / "ksmrun"


def test_sudo_gets_the_path(program: Path) -> None:
    said = pasteable("ksmd is off; to do: sudo ksmrun host on, or sudo ksmrun host set run=1")
    assert shlex.split(said.split("to do: ")[1])[:4] == ["sudo", str(program), "host", "on,"]
    assert "sudo ksmrun" not in said


def test_sudo_finds_it(program: Path, tmp_path: Path) -> None:
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin/ksmrun").symlink_to(program)
    assert pasteable("sudo ksmrun host on") == "sudo ksmrun host on"


def test_pip_is_that_of_this_python() -> None:
    said = pasteable("experiments need SciPy; pip install 'ksmrun[ab]'").split("; ")[1]
    *pip, verb, what = shlex.split(said)
    assert (verb, what) == ("install", "ksmrun[ab]")
    assert pip in ([str(Path(sys.executable).with_name("pip"))], [sys.executable, "-m", "pip"])


def test_a_pip_with_a_path_stays() -> None:
    for line in ("sudo /opt/ksmrun/bin/pip install 'ksmrun[ab,top]'", "x-pip install 'ksmrun[ab]'"):
        assert pasteable(line) == line


@pytest.mark.usefixtures("program")
def test_help_is_pasteable_over_the_ends_of_lines(capsys: pytest.CaptureFixture[str]) -> None:
    for topic in ("troubleshooting", "trust", "tuning"):
        run_app(["help", topic])
        assert "sudo ksmrun" not in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("extra", paste.DEBIAN)
def test_a_package_names_packages(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrap, "LIBEXEC", wrap.PACKAGED)
    said = pasteable(f"run: pip install 'ksmrun[{extra}]', or use it without")
    assert said == f"run: sudo apt install {paste.DEBIAN[extra]}, or use it without"


def test_top_advises_that_pip(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("ksmrun.commands.top")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "textual", None)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    assert run_app(["top"]) == 1
    said = capsys.readouterr().err
    assert pasteable("run: pip install 'ksmrun[top]', or") in said


@given(st.text())
def test_other_text_stays(text: str) -> None:
    if paste.SUDO.search(text) is None and paste.PIP.search(text) is None:
        assert pasteable(text) == text
