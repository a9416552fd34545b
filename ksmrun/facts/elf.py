"""Reading ELF files by pyelftools: what a file says of itself must not hang or end a command."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ksmrun.support.foreign import open_regular
from ksmrun.support.limit import cpu_limit

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

# The greatest program here takes a tenth of it; a table may claim to have 2^64 entries.
ELF_SECONDS = 1.0


class UnreadableElfError(ValueError):
    """It is no ELF file, or not a whole one."""


@contextmanager
def elf_file(path: Path) -> Iterator[ELFFile]:
    """The file's reader, for the block. Raises UnreadableElfError, also for what fails in there."""
    # Not at the top: pyelftools takes longer to import than all of ksmrun.
    from elftools.common.exceptions import ELFError
    from elftools.construct import ConstructError
    from elftools.elf.elffile import ELFFile

    try:
        with open(open_regular(path), "rb") as file, cpu_limit(ELF_SECONDS):  # noqa: PTH123
            yield ELFFile(file)
    # pyelftools lets struct, construct and decoding errors of a damaged file through.
    except (
        *(ELFError, OSError, ValueError, KeyError, AttributeError, TypeError, LookupError),
        *(ArithmeticError, MemoryError, RecursionError, AssertionError),
        *(struct.error, ConstructError),
    ) as error:
        raise UnreadableElfError(str(error) or type(error).__name__) from error
