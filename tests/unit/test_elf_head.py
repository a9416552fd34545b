"""Our reader of ELF files compared with pyelftools, on all programs of this host."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from volume import volume

from ksmrun.facts.elf_head import MACHINES, ElfHead, UnreadableElfError, read_head

NAMES = {
    **{"EM_386": "i386", "EM_X86_64": "x86_64", "EM_AARCH64": "aarch64", "EM_ARM": "arm"},
    **{"EM_RISCV": "riscv64", "EM_S390": "s390x", "EM_PPC64": "ppc64", "EM_PPC": "ppc"},
}


def programs() -> Iterator[Path]:
    """Yield those of /usr/bin and others: 32-bit, of other machines, static."""
    for folder in ("/usr/bin", "/usr/libexec/ksmrun", "/lib32", "/usr/lib/x86_64-linux-gnu"):
        for file in sorted(Path(folder).glob("*"))[: volume(1500)]:
            with contextlib.suppress(OSError):
                if (
                    file.is_file()
                    and not file.is_symlink()
                    and file.open("rb").read(4) == b"\x7fELF"
                ):
                    yield file


def by_pyelftools(file: Path) -> ElfHead:
    with file.open("rb") as opened:
        elf = ELFFile(opened)
        segments: dict[str, Any] = {segment["p_type"]: segment for segment in elf.iter_segments()}
        dynamic = segments.get("PT_DYNAMIC")
        tags = () if dynamic is None else dynamic.iter_tags("DT_NEEDED")
        loader = segments.get("PT_INTERP")
        return ElfHead(
            elf.elfclass,
            NAMES[elf["e_machine"]],
            elf["e_type"] == "ET_DYN" and dynamic is not None,
            None if loader is None else loader.get_interp_name(),
            tuple(tag.needed for tag in tags),
        )


def test_all_programs_of_this_host() -> None:
    compared = 0
    for file in programs():
        assert read_head(file) == by_pyelftools(file), file
        compared += 1
    assert compared > 100


def test_names_of_machines() -> None:
    assert set(NAMES.values()) <= {*MACHINES.values()}


PROGRAM = Path("/bin/sleep").read_bytes()


@settings(max_examples=volume(300), suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(st.integers(0, 1000), st.binary(min_size=1, max_size=8), max_size=4),
    st.integers(0, len(PROGRAM)) | st.just(len(PROGRAM)),
)
def test_any_bytes(tmp_path: Path, changes: dict[int, bytes], length: int) -> None:
    """A head, or an error that says what is wrong."""
    file = tmp_path / "program"
    data = bytearray(PROGRAM)
    for place, found in changes.items():
        data[place : place + len(found)] = found
    file.write_bytes(data[:length])
    try:
        head = read_head(file)
    except UnreadableElfError as error:
        assert str(error)
    else:
        assert head.class_bits in (32, 64)
