"""Row of `ksmrun check` about a library that replaces malloc."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ksmrun.facts.allocator import linked_libraries
from ksmrun.plan.allocators import ALLOCATORS, ITEM, allocator_row


@pytest.mark.parametrize("prefix", ALLOCATORS)
def test_the_row_tells_what_is_equal(prefix: str) -> None:
    allocator = ALLOCATORS[prefix]
    library = f"{prefix}.2"
    row = allocator_row(["libc.so.6", library], {})
    assert row is not None and row.item == ITEM
    assert row.found.startswith(f"{allocator.name} ({library}): ")
    assert f"{allocator.one_thread_share:.0%} of the heap" in row.found
    assert f"about {allocator.threads_share:.0%} if four" in row.found
    assert (row.status == "warn") == bool(row.todo) == (allocator.setting is not None)


def test_what_keeps_mimalloc_in_the_layout() -> None:
    row = allocator_row(["libmimalloc.so.2"], {})
    assert row is not None and "set MIMALLOC_RESERVE_OS_MEMORY=2G" in row.todo
    row = allocator_row(["libmimalloc.so.2"], {"MIMALLOC_RESERVE_OS_MEMORY": "4G"})
    assert row is not None and (row.status, row.todo) == ("ok", "")
    assert "100% of the heap" in row.found


@pytest.mark.parametrize("name", ["libc.so.6", "libmimalloc-secure.so.2", "libtbb.so.12", ""])
def test_other_libraries_say_nothing(name: str) -> None:
    """libtbbmalloc.so.2 replaces malloc only by its proxy; hardened mimalloc was not measured."""
    assert allocator_row([name], {}) is None
    assert allocator_row(["libtbbmalloc.so.2"], {}) is None


def test_preloaded_libraries_come_first() -> None:
    environment = {"LD_PRELOAD": "/usr/lib/libjemalloc.so.2: libx.so"}
    found = linked_libraries(Path(sys.executable).resolve(), environment)
    assert found[:2] == ("libjemalloc.so.2", "libx.so")
    assert any(name.startswith("libc.so") for name in found)


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    assert linked_libraries(tmp_path, {}) == ()
