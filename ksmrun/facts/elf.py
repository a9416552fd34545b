"""Read ELF files by pyelftools; a damaged or hostile file must not hang or end a command."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ksmrun.facts.elf_head import UnreadableElfError
from ksmrun.support.foreign import open_regular
from ksmrun.support.limit import cpu_limit

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

# The largest program here takes a tenth of it; a table may claim to have 2^64 entries.
ELF_SECONDS = 1.0
# Bytes of the name, bytes of the content, type.
NOTE_HEADER = struct.Struct("<3I")


@contextmanager
def elf_file(path: Path) -> Iterator[ELFFile]:
    """Yield a reader of the file. Raises UnreadableElfError, also for errors in the block."""
    # Imported here: pyelftools takes longer to import than all of ksmrun.
    from elftools.common.exceptions import ELFError
    from elftools.construct import ConstructError
    from elftools.elf.elffile import ELFFile

    try:
        with open(open_regular(path), "rb") as file, cpu_limit(ELF_SECONDS):  # noqa: PTH123
            yield ELFFile(file)
    # pyelftools lets errors of struct, construct and decoding through for a damaged file.
    except (
        *(ELFError, OSError, ValueError, KeyError, AttributeError, TypeError, LookupError),
        *(ArithmeticError, MemoryError, RecursionError, AssertionError),
        *(struct.error, ConstructError),
    ) as error:
        raise UnreadableElfError(str(error) or type(error).__name__) from error


def has_note(elf: ELFFile, name: bytes) -> bool:
    """Return whether a note in a segment has that name. Contents, of any size, are not read."""
    for segment in elf.iter_segments("PT_NOTE"):
        place = segment["p_offset"]
        end = place + segment["p_filesz"]
        while place + NOTE_HEADER.size <= end:
            elf.stream.seek(place)
            name_bytes, content_bytes, _ = NOTE_HEADER.unpack(elf.stream.read(NOTE_HEADER.size))
            if name_bytes == len(name) and elf.stream.read(name_bytes) == name:
                return True
            # Both are filled up to a multiple of four (elf(5)).
            content = place + NOTE_HEADER.size + -(-name_bytes // 4) * 4
            place = content + -(-content_bytes // 4) * 4
    return False
