"""Facts that are read from a program before it starts, on real programs and damaged ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from volume import volume

from ksmrun.facts.layout import why_no_layout
from ksmrun.facts.maps import program_key, running_key, running_peak
from ksmrun.facts.target import look_at

PATH = {b"PATH": b"/usr/bin:/bin"}
ELF = Path("/bin/true").read_bytes()


def script(folder: Path, text: str | bytes, name: str = "script") -> bytes:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(0o755)
    return str(file).encode()


@pytest.mark.parametrize(
    ("options", "dynamic", "pie", "libc"),
    [
        (["gcc"], True, True, "glibc"),
        (["gcc", "-no-pie"], True, False, "glibc"),
        (["gcc", "-static"], False, False, None),
        (["gcc", "-static-pie"], False, True, None),
        (["musl-gcc"], True, True, "musl"),
        (["musl-gcc", "-static", "-no-pie"], False, False, None),
    ],
)
def test_real_programs(
    tmp_path: Path, options: list[str], dynamic: bool, pie: bool, libc: str | None
) -> None:
    source = tmp_path / "x.c"
    source.write_text("int main(void) { return 0; }\n")
    program = tmp_path / "x"
    subprocess.run([*options, "-o", program, source], check=True)
    facts = look_at(str(program).encode(), PATH)
    assert (facts.dynamic, facts.pie, facts.libc) == (dynamic, pie, libc)
    assert (facts.elf_class_bits, facts.note) == (64, None)
    assert not facts.setuid
    program.chmod(0o6755)
    facts = look_at(str(program).encode(), PATH)
    assert facts.setuid and facts.setgid


def test_scripts_are_followed(tmp_path: Path) -> None:
    true = str(Path(shutil.which("true") or "").resolve())
    for line in (
        "#!/bin/true",
        "#! /bin/true -x",
        "#!/usr/bin/env true",
        "#!/usr/bin/env -S A=1 true",
    ):
        command = script(tmp_path, f"{line}\n")
        facts = look_at(command, PATH)
        assert facts.path is not None
        assert str(Path(facts.path).resolve()) == true, line
        assert facts.interpreters == (command.decode(),)
        assert facts.dynamic


def test_script_without_interpreter_line_is_the_shells(tmp_path: Path) -> None:
    assert look_at(script(tmp_path, "echo hi\n"), PATH).path == "/bin/sh"


def test_an_interpreter_s_name_ends_at_a_nul(tmp_path: Path) -> None:
    script = tmp_path / "script"
    for rest, found in ((b"/bin/sh\0/x\n", "/bin/sh"), (b"\0\n", str(script))):
        script.write_bytes(b"#!" + rest)
        script.chmod(0o755)
        path = look_at(os.fsencode(script), {}).path
        assert path is not None
        assert Path(path).resolve() == Path(found).resolve()


def test_a_script_of_itself_ends(tmp_path: Path) -> None:
    file = tmp_path / "loop"
    facts = look_at(script(tmp_path, f"#!{file}\n", "loop"), PATH)
    assert facts.path is None
    assert "deeper" in (facts.note or "")


def test_unknown_is_not_a_failure(tmp_path: Path) -> None:
    assert "not found" in (look_at(b"no-such-command", PATH).note or "")
    assert "not found" in (look_at(b"", PATH).note or "")
    assert "not found" in (look_at(b"/etc/passwd", PATH).note or "")
    facts = look_at(script(tmp_path, ELF[:100]), PATH)
    assert facts.elf_class_bits is None
    assert "not a readable ELF file" in (facts.note or "")
    assert look_at(script(tmp_path, b"\0\1\2"), PATH).note is not None


@settings(max_examples=volume(1000))
@given(
    cut=st.integers(4, 2000),
    changes=st.lists(st.tuples(st.integers(4, 1500), st.integers(0, 255)), max_size=8),
)
def test_damaged_elf_files(cut: int, changes: list[tuple[int, int]]) -> None:
    data = bytearray(ELF[:cut] if cut < 1800 else ELF)
    for place, value in changes:
        if place < len(data):
            data[place] = value
    with tempfile.TemporaryDirectory() as folder:
        look_at(script(Path(folder), bytes(data)), PATH)


@pytest.mark.parametrize(
    "line", [b"#!/bin/sh\r\n", b"#! /usr/bin/env bash\r\n", b"#!/bin/sh -e\r\n"]
)
def test_lines_from_windows(tmp_path: Path, line: bytes) -> None:
    """The kernel takes the carriage return as part of the last word."""
    facts = look_at(script(tmp_path, line + b"echo hi\r\n"), PATH)
    assert facts.path is None and "carriage return" in (facts.note or "")
    assert "sed -i" in (facts.note or "")
    facts = look_at(script(tmp_path, b"#!/bin/sh\necho hi\r\n"), PATH)
    assert facts.path == "/bin/sh"


# Each loader's options before the program, as it is written in start scripts.
LOADER_LINES = (
    ("ld-linux-x86-64.so.2", "{program} --port 1"),
    ("ld-linux-x86-64.so.2", "--library-path /lib:/usr/lib --argv0 server {program}"),
    ("ld-linux-aarch64.so.1", "--inhibit-cache --preload /lib/x.so -- {program} -- x"),
    ("ld-musl-x86_64.so.1", "--library-path /lib:/usr/lib -- {program}"),
    ("ld-musl-x86_64.so.1", "--library-path=/lib --preload=/lib/x.so {program} --list"),
)


@pytest.mark.parametrize(("name", "line"), LOADER_LINES)
def test_a_loader_is_looked_through(tmp_path: Path, name: str, line: str) -> None:
    """The program's kind, and the loader's libc; what the kernel grants is by the loader's file."""
    program, loader = tmp_path / "server", tmp_path / name
    shutil.copy("/usr/bin/env", program)
    program.chmod(0o4644)
    shutil.copy(Path("/lib64/ld-linux-x86-64.so.2").resolve(), loader)
    words = [os.fsencode(word.format(program=program)) for word in line.split()]
    facts = look_at(os.fsencode(loader), {}, words)
    assert (facts.path, facts.loaded_by, facts.loader) == (str(program), str(loader), str(loader))
    assert facts.libc == ("musl" if "musl" in name else "glibc")
    assert (facts.dynamic, facts.setuid, facts.elf_class_bits) == (True, False, 64)
    assert program_key(facts) == f"{loader.resolve()}\0{program.resolve()}"


def test_a_loader_without_a_program_is_itself(tmp_path: Path) -> None:
    loader = Path("/lib64/ld-linux-x86-64.so.2")
    assert look_at(os.fsencode(loader), {}, [b"--version"]).path == str(loader)
    missing = look_at(os.fsencode(loader), {}, [os.fsencode(tmp_path / "none")])
    assert missing.path == str(loader) and "none" in (missing.note or "")
    # A program that is called like one.
    named = tmp_path / "ld-linux-x86-64.so.2"
    shutil.copy("/usr/bin/env", named)
    assert look_at(os.fsencode(named), {}, [b"/bin/sh"]).path == str(named)


def test_a_running_loader_has_the_key_of_its_command() -> None:
    loader, program = Path("/lib64/ld-linux-x86-64.so.2").resolve(), Path("/bin/cat").resolve()
    words = ["--argv0", "server", str(program)]
    facts = look_at(os.fsencode(loader), {}, [*map(os.fsencode, words)])
    with subprocess.Popen(
        [loader, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("x\n")
        process.stdin.flush()
        process.stdout.readline()
        folder = Path("/proc") / str(process.pid)
        assert running_key(folder, str(loader)) == program_key(facts)
        found = running_peak(facts)
        assert found is not None and found.maps > 0
        process.stdin.close()


def test_a_python_without_extended_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those for musl lack them up to 3.11.2."""
    monkeypatch.delattr(os, "getxattr")
    monkeypatch.delattr(os, "listxattr")
    assert look_at(os.fsencode(sys.executable), {}).capabilities is False
    assert why_no_layout(Path("/proc/self")) != "its file cannot be read"
