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
