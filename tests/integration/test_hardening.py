"""Hardening of the installed programs, from their ELF headers and their behaviour."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.constants import P_FLAGS
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

from ksmrun.facts.launcher import launcher_path

LIBEXEC = launcher_path().parent
PROGRAMS = (
    *(LIBEXEC / name for name in ("ksmrun-exec", "ksmrun-oci", "ksmrun-estimate", "ksmrun-attach")),
    Path(sys.executable).with_name("ksmrun"),
)
SHIMS = sorted(file for file in LIBEXEC.glob("lib*/**/*.so") if file.is_file())


def segments(elf: ELFFile, kind: str) -> list[tuple[int, int, int]]:
    """Return address, size in memory and flags of each segment."""
    headers = [part.header for part in elf.iter_segments() if part.header.p_type == kind]
    return [(part.p_vaddr, part.p_memsz, part.p_flags) for part in headers]


def section(elf: ELFFile, name: str) -> Any:
    found = elf.get_section_by_name(name)
    assert found is not None, name
    return found


def flags(elf: ELFFile) -> dict[str, int]:
    """Return the entries of the dynamic section by tag."""
    (dynamic,) = (part for part in elf.iter_segments() if isinstance(part, DynamicSegment))
    return {tag.entry.d_tag: tag.entry.d_val for tag in dynamic.iter_tags()}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_static_pie_with_relro(program: Path) -> None:
    with program.open("rb") as file:
        elf = ELFFile(file)
        assert elf.header.e_type == "ET_DYN"
        assert not segments(elf, "PT_INTERP")
        tags = flags(elf)
        assert not tags.keys() & {"DT_NEEDED", "DT_TEXTREL", "DT_JMPREL"}
        # include/elf.h: DF_BIND_NOW; DF_1_NOW, DF_1_PIE.
        assert tags["DT_FLAGS"] & 0x8
        assert tags["DT_FLAGS_1"] & 0x08000001 == 0x08000001
        ((start, size, _),) = segments(elf, "PT_GNU_RELRO")
        # All relocated data: addresses in the table end before what stays writable.
        got = section(elf, ".got").header
        assert start <= got.sh_addr and got.sh_addr + got.sh_size <= start + size
        assert (start + size) % 4096 == 0
        assert elf.get_section_by_name(".got.plt") is None


@pytest.mark.parametrize("program", [*PROGRAMS, *SHIMS], ids=lambda path: path.name)
def test_nothing_is_writable_and_executable(program: Path) -> None:
    with program.open("rb") as file:
        elf = ELFFile(file)
        for _, _, access in [*segments(elf, "PT_LOAD"), *segments(elf, "PT_GNU_STACK")]:
            assert access & (P_FLAGS.PF_W | P_FLAGS.PF_X) != P_FLAGS.PF_W | P_FLAGS.PF_X
        # Without one, the kernel makes the stack executable (fs/binfmt_elf.c: EXSTACK_DEFAULT).
        ((_, _, stack),) = segments(elf, "PT_GNU_STACK")
        assert not stack & P_FLAGS.PF_X


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_functions_look_at_their_canary(program: Path) -> None:
    """On x86_64 it is at %fs:0x28; the comparison is an instruction with that address."""
    with program.open("rb") as file:
        code = section(ELFFile(file), ".text").data()
    # 64 48 8b|2b modrm 25 28 00 00 00: mov or sub of %fs:0x28 and a register.
    canaries = re.findall(rb"\x64\x48[\x2b\x33\x3b\x8b].\x25\x28\x00\x00\x00", code, re.DOTALL)
    assert len(canaries) > 10


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_relocated_memory_is_protected(program: Path) -> None:
    """The headers promise it; musl leaves it to the program."""
    with program.open("rb") as file:
        ((_, size, _),) = segments(ELFFile(file), "PT_GNU_RELRO")
    # ksmrun starts Python, which is another program.
    trace = ["strace", "-e", "trace=mprotect,execve", str(program), "--help"]
    done = subprocess.run(trace, capture_output=True, text=True, check=False)
    own = re.split(r"^execve\(", done.stderr, flags=re.MULTILINE)[1]
    protected = re.findall(r"^mprotect\(\w+, (\d+), PROT_READ\) += 0$", own, re.MULTILINE)
    assert int(protected[0]) == -(-size // 4096) * 4096


def test_starts_itself_under_the_layout(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o400)
    launcher = str(launcher_path())
    layout = [launcher, "--quiet", "--require", "--layout=shared", f"--layout-key={key}", "--"]
    done = subprocess.run(
        [*layout, launcher, "--quiet", "--", "cat", "/proc/self/comm"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == ("cat\n", "", 0)
