"""Program behind a command: from PATH through interpreter lines and loaders to the ELF file."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ksmrun.facts.capabilities import grants_capabilities
from ksmrun.facts.elf_head import UnreadableElfError, read_head
from ksmrun.facts.loader import is_loader, is_musl, program_of
from ksmrun.model.launch import TargetFacts
from ksmrun.support.foreign import read_bytes, resolved

# The kernel follows five levels of interpreters (fs/exec.c: exec_binprm), and reads 256 bytes of
# the first line (include/uapi/linux/binfmts.h: BINPRM_BUF_SIZE).
SCRIPT_DEPTH_MAX = 5
SCRIPT_LINE_BYTES = 256
# glibc's confstr(_CS_PATH), which execvp(3) uses if PATH is unset.
DEFAULT_PATH = b"/bin:/usr/bin"


def look_at(
    command: bytes,
    environment: Mapping[bytes, bytes],
    arguments: Sequence[bytes] = (),
    process: Path | None = None,
) -> TargetFacts:
    """Return the program that this command would run.

    Never fails: unreadable is None, with a note. arguments: which program, if the command is a
    loader. process: the /proc folder of the process that runs it, whose files are meant.
    """
    interpreters: list[str] = []
    word = command
    for _ in range(SCRIPT_DEPTH_MAX + 1):
        path = find(word, environment)
        if path is None:
            note = f"{_text(word)} is not found, or not executable"
            return TargetFacts(path=None, interpreters=tuple(interpreters), note=note)
        try:
            status = path.stat()
            head = read_bytes(path, SCRIPT_LINE_BYTES)
        except OSError as error:
            note = f"{path}: {error.strerror}"
            return TargetFacts(str(path), tuple(interpreters), note=note)
        if head.startswith(b"#!") and head.split(b"\n", 1)[0].endswith(b"\r"):
            note = (
                f"{path}: its lines end with a carriage return (CR LF, as on Windows), which is "
                f"taken for a part of its interpreter's name; remove them: sed -i 's/\\r$//' {path}"
            )
            return TargetFacts(None, (*interpreters, str(path)), note=note)
        following = _interpreter(head)
        if following is None:
            facts = replace(_read_elf(path, status), interpreters=tuple(interpreters))
            return facts if interpreters else _look_through(facts, command, arguments, process)
        interpreters.append(str(path))
        word = following
    note = f"{_text(command)}: interpreter lines go deeper than the kernel follows"
    return TargetFacts(None, tuple(interpreters), note=note)


def _look_through(
    loader: TargetFacts, command: bytes, arguments: Sequence[bytes], process: Path | None
) -> TargetFacts:
    """Return the program that a loader is to load, if the file is a loader, else the file."""
    if loader.path is None or loader.dynamic is not False or not loader.pie:
        return loader
    path = Path(loader.path)
    if not is_loader(path.name, resolved(path)):
        return loader
    word = program_of((command, *arguments))
    if word is None:
        return loader
    place = Path(os.fsdecode(word))
    if process is not None:
        place = process / ("root" if place.is_absolute() else "cwd") / os.fsdecode(word).lstrip("/")
    try:
        program = _read_elf(place, place.stat())
    except OSError as error:
        return replace(loader, note=f"{place}: {error.strerror}")
    # The kernel looks at the loader's file alone for what is gained at exec.
    return replace(
        program,
        loaded_by=loader.path,
        loader=loader.path,
        libc="musl" if is_musl(path.name, resolved(path)) else "glibc",
        dynamic=True if program.elf_class_bits is not None else None,
        setuid=loader.setuid,
        setgid=loader.setgid,
        capabilities=loader.capabilities,
    )


def find(command: bytes, environment: Mapping[bytes, bytes]) -> Path | None:
    """Return the file that execvp(3) would run: PATH is searched only for names without a slash."""
    if b"/" in command:
        path = Path(os.fsdecode(command))
        return path if _is_program(path) else None
    for folder in environment.get(b"PATH", DEFAULT_PATH).split(b":"):
        path = Path(os.fsdecode(folder or b".")) / os.fsdecode(command)
        if command and _is_program(path):
            return path
    return None


def _is_program(path: Path) -> bool:
    return os.access(path, os.X_OK) and path.is_file()


def _interpreter(head: bytes) -> bytes | None:
    """Return the interpreter that a file's first line names, also behind `/usr/bin/env`.

    /bin/sh for plain text.
    """
    if head.startswith(b"\x7fELF"):
        return None
    line = head.split(b"\n", 1)[0]
    if not head.startswith(b"#!"):
        return None if b"\0" in line else b"/bin/sh"
    # fs/binfmt_script.c takes the name as a C string.
    words = line[2:].split(b"\0", 1)[0].split()
    if not words:
        return None
    if words[0].rsplit(b"/", 1)[-1] != b"env":
        return words[0]
    for word in words[1:]:
        if not word.startswith(b"-") and b"=" not in word:
            return word
    return words[0]


def _read_elf(path: Path, status: os.stat_result) -> TargetFacts:
    facts = TargetFacts(
        path=str(path),
        setuid=bool(status.st_mode & stat.S_ISUID),
        # setgid without group execution means mandatory locking.
        setgid=bool(status.st_mode & stat.S_ISGID and status.st_mode & stat.S_IXGRP),
        capabilities=grants_capabilities(path),
    )
    try:
        head = read_head(path)
    except UnreadableElfError as error:
        return replace(facts, note=f"{path} is not a readable ELF file ({error})")
    return replace(
        facts,
        # AddressSanitizer must be the first library.
        needs_first_preload=any(name.startswith("libasan.so") for name in head.needed),
        elf_class_bits=head.class_bits,
        machine=head.machine,
        # A static-pie has a dynamic segment but no loader.
        dynamic=head.loader is not None,
        pie=head.is_pie,
        loader=head.loader,
        libc=None if head.loader is None else _libc(head.loader),
    )


def _libc(loader: str) -> str:
    name = loader.rsplit("/", 1)[-1]
    if name.startswith("ld-musl"):
        return "musl"
    return "glibc" if name.startswith(("ld-linux", "ld64", "ld.so")) else "other"


def _text(word: bytes) -> str:
    return word.decode("utf-8", "backslashreplace")
