"""`ksmrun run` without Python: as Python would start it, and only by a file that can be trusted.

In these files the launcher is a script that shows its words, so that it is seen who has planned.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from folders import let_all_in
from waiting import LAST_RESORT_SECONDS

from ksmrun.facts.launcher import cached_probe
from ksmrun.launch.plan_cache import FORMAT, PROGRAMS_MAX, _identity
from ksmrun.plan.mechanism import is_same_for_all

UID = 65534
# What Python has written for the first test: plan and probe, by file name.
WRITTEN: dict[str, bytes] = {}
COMMAND = ("echo", "x")

pytestmark = pytest.mark.skipif(
    not is_same_for_all(cached_probe()), reason="this kernel needs a plan for each program"
)


class Home:
    """A user's folder with the file that Python has written, and its launcher replaced."""

    def __init__(self, ksmrun: str, nobody: tuple[str, ...], folder: Path) -> None:
        self.prefix, self.ksmrun, self.folder = nobody, ksmrun, folder
        place = folder / "ksmrun"
        if not WRITTEN:
            assert self.start(*COMMAND).stdout == "x\n"
            WRITTEN.update({each.name: each.read_bytes() for each in place.iterdir()})
        place.mkdir(exist_ok=True)
        for name, data in WRITTEN.items():
            (place / name).write_bytes(data)
        for each in (place, *place.iterdir()):
            os.chown(each, UID, UID)
        (self.file,) = place.glob("plan-*")
        marker = folder / "marker"
        marker.write_text('#!/bin/sh\necho cached "$@"\n')
        marker.chmod(0o755)
        self.replace("launcher ", f"launcher {_identity(marker)}")

    def start(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(self.folder)}
        return subprocess.run(
            [*more.get("prefix", self.prefix), more.get("ksmrun", self.ksmrun), "run", *words],
            env=environment | more.get("env", {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=LAST_RESORT_SECONDS,
        )

    def replace(self, start: str, line: str) -> None:
        lines = self.file.read_text().splitlines()
        self.write("".join(f"{line if each.startswith(start) else each}\n" for each in lines))

    def write(self, text: str) -> None:
        """Write it in place: it stays the user's."""
        self.file.write_text(text)

    def is_used(self, **more: Any) -> bool:
        done = self.start("--quiet", *COMMAND, **more)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout == "cached --merge=on --quiet -- echo x\n"


@pytest.fixture
def home(ksmrun: str, nobody: tuple[str, ...], tmp_path: Path) -> Home:
    return Home(ksmrun, nobody, tmp_path)


@pytest.mark.parametrize("options", ["", "--require", "--verify --quiet --require", "--quiet --"])
def test_words_are_those_of_python(home: Home, options: str) -> None:
    found = home.start(*options.split(), "printf", "%s", "-x", "a b", "--")
    planned = home.start("--dry-run", *options.split(), "printf", "%s", "-x", "a b", "--")
    assert found.stdout.split() == ["cached", *" ".join(shlex.split(planned.stdout)[1:]).split()]


@pytest.mark.parametrize(
    "words",
    [
        *("--merge=on echo x", "--guard warn echo x", "--quiet=1 echo x"),
        "--runtime-flags=off echo x",
        *("sh -c true", "env true", "/usr/bin/env true", "docker --version", "- x", "su -c true"),
        *("--help", "", "--", "--dry-run echo x", "--layout=random echo x"),
        *("--domain web echo x", "--domain=web --quiet echo x"),
    ],
)
def test_everything_else_is_for_python(home: Home, words: str) -> None:
    assert not home.start(*words.split()).stdout.startswith("cached")


def test_variables_are_for_python(home: Home) -> None:
    assert home.is_used()
    assert not home.is_used(env={"KSMRUN_GUARD": ""})


def rewritten(text: str, how: str) -> str:
    """Return the file's text, spoilt."""
    match how:
        case "future":
            return text.replace(FORMAT, "ksmrun-plan 3")
        case "other boot" | "other seccomp":
            word = how.partition(" ")[2]
            return text.replace(f"\n{word} ", f"\n{word} 0")
        case "cut":
            return text[:-4]
        case "cut in a line":
            return text[: text.index("launcher") + 20]
        case "longer":
            return text + "x\n"
        case "huge":
            return text + "\n" * (1 << 20)
        case "binary":
            return text.replace("end", "end\0")
        case "code upgraded":
            return text.replace("\nfile ", "\nfile 1", 1)
    return "" if how == "empty" else text


def replaced(home: Home, how: str) -> None:
    """Put something else where the file, its folder or its launcher is."""
    file, folder, marker = home.file, home.file.parent, home.folder / "marker"
    other = home.folder / "other"
    match how:
        case "somebody's" | "root's":
            os.chown(file, int(how == "somebody's"), 0)
        case "group-writable" | "writable":
            file.chmod(0o664 if how == "group-writable" else 0o646)
        case "writable folder":
            folder.chmod(0o777)
        case "root's folder":
            os.chown(folder, 0, 0)
        case "link" | "linked folder":
            place = file if how == "link" else folder
            place.rename(other)
            place.symlink_to(other)
        case "FIFO":
            file.unlink()
            os.mkfifo(file)
            os.chown(file, UID, UID)
        case "folder":
            file.unlink()
            file.mkdir()
        case "launcher upgraded":
            marker.write_text("#!/bin/sh\nexit 9\n")
        case "launcher of another time":
            os.utime(marker, (1 << 33, 1 << 33))
        case "launcher gone":
            marker.unlink()


@pytest.mark.parametrize(
    "how",
    [
        *("future", "other boot", "other seccomp", "cut", "cut in a line", "longer", "empty"),
        *("huge", "binary", "somebody's", "root's", "group-writable", "writable"),
        *("writable folder", "root's folder", "link", "linked folder", "FIFO", "folder"),
        *("launcher upgraded", "launcher of another time", "launcher gone", "code upgraded"),
    ],
)
def test_what_is_ignored(home: Home, how: str) -> None:
    """Without a word; and Python writes it again, where it can."""
    assert home.is_used()
    home.write(rewritten(home.file.read_text(), how))
    replaced(home, how)
    assert not home.is_used()


def test_the_next_launch_has_it_again(home: Home) -> None:
    text = home.file.read_text()
    home.write("")
    assert not home.is_used()
    assert home.file.read_text().splitlines()[:4] == text.splitlines()[:4]
    # That of another boot is removed.
    old = home.file.with_name("plan-" + "0" * 36 + "-0-0-1-1")
    old.touch()
    home.write("")
    home.start(*COMMAND)
    assert not old.exists()


def test_two_installations_have_two_files(home: Home, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("ksmrun", ".ksmrun-py"):
        shutil.copy(Path(home.ksmrun).with_name(name), other / name)
    assert not home.is_used(ksmrun=str(other / "ksmrun"))
    assert home.is_used()
    assert len([*home.file.parent.glob("plan-*")]) == 2


def test_root_never_uses_another_users(home: Home) -> None:
    """As after `sudo -E`."""
    assert not home.is_used(prefix=())


@pytest.mark.parametrize(
    "environment",
    [
        {"XDG_RUNTIME_DIR": "."},
        {"XDG_RUNTIME_DIR": "", "HOME": "relative"},
        {"XDG_RUNTIME_DIR": "/proc", "HOME": "/nonexistent"},
        {"XDG_RUNTIME_DIR": "/" + "x" * 5000},
    ],
)
def test_without_a_folder(home: Home, environment: dict[str, str]) -> None:
    assert not home.is_used(env=environment)


LAYOUT = ("--quiet", "--layout=shared")


class Layout(Home):
    """As above, with the file of one program with a shared layout."""

    def __init__(
        self, ksmrun: str, nobody: tuple[str, ...], folder: Path, bin_folder: Path
    ) -> None:
        super().__init__(ksmrun, nobody, folder)
        self.program = bin_folder / "program"
        shutil.copy("/bin/echo", self.program)
        assert self.launch().stdout == "x\n"
        (self.file,) = self.file.parent.glob(f"{self.file.name}-*")
        self.replace("launcher ", f"launcher {_identity(folder / 'marker')}")

    @property
    def key(self) -> Path:
        return self.folder / "ksmrun/layout/master.key"

    def launch(
        self, *words: str, program: str = "", **more: Any
    ) -> subprocess.CompletedProcess[str]:
        return self.start(*(words or LAYOUT), "--", program or str(self.program), "x", **more)

    def is_used(self, **more: Any) -> bool:
        done = self.launch(**more)
        assert done.returncode == 0, done
        return done.stdout.startswith("cached ")


@pytest.fixture
def layout(ksmrun: str, nobody: tuple[str, ...], tmp_path: Path) -> Iterator[Layout]:
    # Not below pytest's own folder, which each session that starts closes to others: access(2)
    # knows no capabilities.
    with tempfile.TemporaryDirectory() as folder:
        yield Layout(ksmrun, nobody, tmp_path, let_all_in(Path(folder)))


@pytest.mark.parametrize("options", ["--layout=shared", "--layout shared --verify --require"])
def test_words_of_a_layout_are_those_of_python(layout: Layout, options: str) -> None:
    found = layout.launch(*options.split())
    planned = layout.launch("--dry-run", *options.split())
    assert found.stdout.split() == ["cached", *shlex.split(planned.stdout)[1:]]


@pytest.mark.parametrize(
    "options",
    [
        *(
            "--layout=random",
            "--layout shared --layout-group other",
            "--layout",
            "--layout=shared=",
        ),
        *("--layout=shared --seeds=own", "--layout shared --layout-scope tree", "--dry-run"),
    ],
)
def test_other_layouts_are_for_python(layout: Layout, options: str) -> None:
    assert layout.is_used()
    assert not layout.launch("--quiet", *options.split()).stdout.startswith("cached")
    # Nor do they overwrite it.
    assert layout.is_used()


def changed(layout: Layout, how: str) -> None:
    """Change what the plan of a program with a layout depends on."""
    program, key = layout.program, layout.key
    match how:
        case "program replaced":
            program.rename(program.with_name("old"))
            shutil.copy("/bin/echo", program)
        case "program written":
            program.write_bytes(program.read_bytes())
        case "other mode":
            program.chmod(0o4755)
        case "other owner":
            os.chown(program, 1, 1)
        case "key replaced":
            key.write_bytes(os.urandom(32))
        case "key gone":
            key.unlink()
        case "rotated" | "all rotated":
            groups = ["default"] if how == "rotated" else []
            words = [*layout.prefix, layout.ksmrun, "layout", "rotate", *groups]
            environment = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(layout.folder)}
            subprocess.run(words, env=environment, check=True, capture_output=True)
        case "cut":
            layout.write(layout.file.read_text()[:-4])
        case "no program":
            layout.replace("program ", "file 1 1 1 1 1 /")
        case "too many options":
            text = layout.file.read_text()
            layout.write(text.replace("\nfile ", "\noption x" * 20 + "\nfile ", 1))


@pytest.mark.parametrize(
    "how",
    [
        *("program replaced", "program written", "other mode", "other owner", "key replaced"),
        *(
            "key gone",
            "rotated",
            "all rotated",
            "cut",
            "no program",
            "too many options",
        ),
    ],
)
def test_what_a_layout_depends_on(layout: Layout, how: str) -> None:
    assert layout.is_used()
    changed(layout, how)
    assert not layout.is_used()


def test_the_program_is_the_one_in_path(layout: Layout) -> None:
    bin_folder, other = layout.program.parent, layout.program.parent / "other"
    other.mkdir()
    shutil.copy("/bin/echo", other / "program")
    rest = os.environ["PATH"]
    assert layout.is_used(program="program", env={"PATH": f"{bin_folder}:{other}:{rest}"})
    assert not layout.is_used(program="program", env={"PATH": f"{other}:{bin_folder}:{rest}"})
    (other / "program").chmod(0o644)
    assert layout.is_used(program="program", env={"PATH": f"{other}:{bin_folder}:{rest}"})


def test_scripts_and_wrappers_have_no_file(layout: Layout) -> None:
    before = {*layout.file.parent.iterdir()}
    layout.program.write_text("#!/bin/echo\n")
    assert layout.launch().returncode == 0
    assert layout.launch(program="missing").returncode == 127
    assert {*layout.file.parent.iterdir()} == before


def test_their_number_is_bounded(layout: Layout) -> None:
    stem = layout.file.name.rpartition("-")[0]
    for number in range(PROGRAMS_MAX):
        layout.file.with_name(f"{stem}-{number}").touch()
    shutil.copy("/bin/echo", layout.program.with_name("next"))
    assert layout.launch(program=str(layout.program.with_name("next"))).returncode == 0
    # The one for all programs, and that of the last.
    assert len([*layout.file.parent.glob("plan-*")]) == 2
