"""Row of `ksmrun check` about a language runtime."""

from __future__ import annotations

import pytest

from ksmrun.model.runtime import SHELL
from ksmrun.plan.java_heap import unmergeable_heap
from ksmrun.plan.runtimes import ITEM, RUNTIMES, gains_of, runtime_row, untold_gains


@pytest.mark.parametrize("name", RUNTIMES)
def test_the_row_tells_gain_and_cost(name: str) -> None:
    gains = gains_of(name)
    assert gains is not None
    row = runtime_row(name, "seen")
    assert (row.item, row.status) == (ITEM, "ok")
    assert row.found.startswith(f"{name}: seen. 8 copies of {gains.version} save ")
    assert (" by merging" in row.found) == (gains.plain_share is not None)
    if gains.plain_share is not None:
        assert f"{gains.plain_share:.0%} by merging" in row.found
    assert f"{gains.layout_share:.0%} with --layout=shared" in row.found
    for flags in gains.flags:
        assert flags.saved_share > gains.layout_share
        assert f"try {flags.words}: it saves {flags.saved_share:.0%}" in row.todo
        assert f"x{flags.time_ratio:.2f} the time" in row.todo
        assert f"x{flags.cpu_ratio:.2f} the CPU" in row.todo
        assert flags.caution in row.todo
    assert bool(row.todo) == bool(gains.flags)


@pytest.mark.parametrize("name", [None, "COBOL"])
def test_the_row_of_what_is_not_known(name: str | None) -> None:
    row = runtime_row(name, None)
    assert (row.item, row.status, row.todo) == (ITEM, "ok", "")
    assert row.found == "none that is known here"


@pytest.mark.parametrize("name", RUNTIMES)
def test_an_interpreter_inside_promises_nothing(name: str) -> None:
    row = runtime_row(name, "seen", is_inside=True)
    assert (row.item, row.status) == (ITEM, "ok")
    assert row.found.startswith(f"unknown: {name} is inside (seen)")
    assert "%" not in row.found + row.todo
    assert "ksmrun estimate" in row.todo


def test_the_row_of_a_shell() -> None:
    row = runtime_row(SHELL, "/bin/dash is a shell")
    assert (row.item, row.status) == (ITEM, "ok")
    assert row.found == "/bin/dash is a shell: what counts is the program that it starts"
    assert row.todo == "check that program too"


@pytest.mark.parametrize(
    ("words", "environment", "flag"),
    [
        ("-Xmx1g -XX:+UseZGC H", {}, "-XX:+UseZGC"),
        ("-XX:+UseZGC -XX:+ZGenerational H", {}, "-XX:+UseZGC"),
        ("-XX:AllocateHeapAt=/mnt H", {}, "-XX:AllocateHeapAt=/mnt"),
        ("-XX:+UseLargePages H", {}, "-XX:+UseLargePages"),
        ("H", {"JAVA_TOOL_OPTIONS": "-Xss1m '-XX:+UseZGC'"}, "-XX:+UseZGC"),
        ("H", {"JDK_JAVA_OPTIONS": "-XX:+UseZGC"}, "-XX:+UseZGC"),
        ("-XX:-UseZGC H", {"_JAVA_OPTIONS": "-XX:+UseZGC it's"}, "-XX:+UseZGC"),
        ("-XX:-UseZGC H", {"JDK_JAVA_OPTIONS": "-XX:+UseZGC"}, None),
        ("-XX:+UseZGC -XX:-UseZGC H", {}, None),
        ("-XX:+UseG1GC H", {}, None),
    ],
)
def test_a_java_heap_that_does_not_merge(
    words: str, environment: dict[str, str], flag: str | None
) -> None:
    found = unmergeable_heap(words.split(), environment)
    assert (None if found is None else found[0]) == flag


def test_the_row_of_a_heap_that_does_not_merge() -> None:
    row = runtime_row("OpenJDK", "seen", unmergeable_heap(["-XX:+UseZGC"], {}))
    assert (row.item, row.status) == (ITEM, "warn")
    assert row.found.startswith("OpenJDK with -XX:+UseZGC: its heap is shared memory")
    assert "save" not in row.found
    assert "-XX:+UseG1GC" in row.todo


def test_estimates_name_what_pages_do_not_show() -> None:
    """Only where a trial saved clearly more than the pages show."""
    java = RUNTIMES["OpenJDK 17"]
    (flags,) = java.flags
    (line,) = untold_gains("/usr/bin/java", "OpenJDK", java, java.layout_share)
    assert f"{flags.saved_share:.0%} in a trial" in line and flags.words in line
    layout, _ = untold_gains("/usr/bin/java", "OpenJDK", java, 0.0)
    assert f"{java.layout_share:.0%} with one layout" in layout
    assert not list(untold_gains("/usr/bin/java", "OpenJDK", java, flags.saved_share))
