"""Flags for runtimes: which are set, and which would keep a program from starting."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.facts.java import with_release
from ksmrun.launch.runtime_variables import variables_of_container, variables_of_unit
from ksmrun.model.launch import RuntimeFlags, TargetFacts
from ksmrun.model.runtime import JAVA, MONO, SHELL, Runtime, RuntimeVariables
from ksmrun.plan.launch import _variables
from ksmrun.plan.runtime_flags import (
    COLLECTOR,
    EQUAL,
    FREE_RATIOS,
    SMALL_HEAP,
    TESTED_MAJORS,
    TOLERANT,
    TRIM,
    flags_row,
    java_flags,
    runtime_variables,
)

MERGE, SHRINK, OFF = RuntimeFlags.MERGE, RuntimeFlags.SHRINK, RuntimeFlags.OFF
JAVA_17 = Runtime(JAVA, "seen", version="17.0.15", variant="hotspot", has_archive=True)
HEADER = Path(__file__).parents[2] / "native/oci/runtime_flags.h"
# Options of which each contradicts a flag of ours; that a JVM with both does not start was seen in
# 17 and 25.
RIVALS = {
    "-XX:+UseG1GC": COLLECTOR,
    "-XX:+UseParallelGC": COLLECTOR,
    "-XX:+UseZGC": COLLECTOR,
    "-XX:+UseShenandoahGC": COLLECTOR,
    "-XX:+UseEpsilonGC": COLLECTOR,
    "-XX:+AggressiveHeap": COLLECTOR,
    "-Xmx12m": SMALL_HEAP,
    "-XX:MaxHeapSize=8000k": SMALL_HEAP,
    "-Xmn64m": SMALL_HEAP,
    "-Xms1g": SMALL_HEAP,
    "-XX:NewSize=20m": SMALL_HEAP,
    "-XX:MinHeapFreeRatio=20": FREE_RATIOS[0],
    "-XX:MaxHeapFreeRatio=3": FREE_RATIOS[1],
}


def flags(*options: str, major: int | None = 17, shrinks: bool = False) -> list[str]:
    return java_flags(shrinks, major, options)[0].split()


def test_java_of_a_tested_version() -> None:
    for major in TESTED_MAJORS:
        assert flags(major=major) == [COLLECTOR, *EQUAL]
    assert flags(shrinks=True) == [TOLERANT, COLLECTOR, *EQUAL, SMALL_HEAP, *FREE_RATIOS, TRIM]


@pytest.mark.parametrize("major", [None, 8, 11, 26])
def test_of_other_versions_no_flag_is_refused(major: int | None) -> None:
    assert flags(major=major)[0] == TOLERANT


@pytest.mark.parametrize(("option", "flag"), RIVALS.items())
def test_nothing_contradicts_an_option_of_the_user(option: str, flag: str) -> None:
    text, left_out = java_flags(True, 17, ["-ea", option, "-jar", "x.jar"])
    assert flag not in text.split()
    assert any(option in said or "smaller maximum" in said for said in left_out)
    assert set(EQUAL) < set(text.split())


@pytest.mark.parametrize("option", ["@options", "-XX:Flags=x", "-XX:VMOptionsFile=x"])
def test_options_in_files_may_be_any(option: str) -> None:
    given_there = java_flags(True, 17, [option])[0]
    assert given_there == java_flags(True, 17, None)[0]
    assert not {COLLECTOR, SMALL_HEAP, *FREE_RATIOS} & set(given_there.split())


@pytest.mark.parametrize(
    "option", ["-Xmx16m", "-Xmx1g", "-XX:MaxHeapSize=16777216", "@@x", "-Xbatch"]
)
def test_other_options_change_nothing(option: str) -> None:
    assert flags(option, shrinks=True) == flags(shrinks=True)


def test_of_several_maxima_the_last_counts() -> None:
    assert SMALL_HEAP in flags("-Xmx8m", "-Xmx1g", shrinks=True)
    assert SMALL_HEAP not in flags("-Xmx1g", "-Xmx8M", shrinks=True)


@given(st.lists(st.sampled_from([*RIVALS, "@x", "-Xmx1g", "Main", ""])), st.booleans())
def test_what_is_set_never_contradicts(options: list[str], shrinks: bool) -> None:
    found = set(flags(*options, shrinks=shrinks))
    assert not {RIVALS[option] for option in options if option in RIVALS} & found - {SMALL_HEAP}
    assert set(EQUAL) <= found


def variables(runtime: Runtime | None, *words: str, **environment: str) -> RuntimeVariables:
    return runtime_variables(MERGE, runtime, words, environment)


def names(found: RuntimeVariables) -> list[str]:
    return [variable.name for variable in found.variables]


def test_the_line_says_what_is_set() -> None:
    found = variables(JAVA_17, "-XX:+UseG1GC")
    assert found.said is not None
    assert found.said.startswith("runtime flags for OpenJDK 17.0.15: JAVA_TOOL_OPTIONS='-XX:-UsePe")
    assert f"without {COLLECTOR}, as -XX:+UseG1GC is given" in found.said
    assert found.said.endswith("Java prints JAVA_TOOL_OPTIONS on stderr")
    found = variables(JAVA_17, JAVA_TOOL_OPTIONS="-XX:+UseG1GC")
    assert "before its own words" in (found.said or "")
    assert COLLECTOR not in found.variables[0].text


def test_other_runtimes() -> None:
    assert names(variables(Runtime(MONO, "seen"))) == ["MONO_GC_PARAMS"]
    assert names(variables(Runtime(SHELL, "seen"))) == ["JAVA_TOOL_OPTIONS", "MONO_GC_PARAMS"]
    openj9 = Runtime(JAVA, "seen", version="17.0.1", variant="openj9")
    for runtime in (None, Runtime("CPython", "seen"), openj9):
        found = variables(runtime)
        assert not found.variables
        assert (found.said or "").startswith("runtime flags: none set, as ")
    assert runtime_variables(OFF, JAVA_17, (), {}) == RuntimeVariables()
    assert names(runtime_variables(SHRINK, Runtime(MONO, "seen"), (), {})) == ["MONO_GC_PARAMS"]
    shrunk = runtime_variables(SHRINK, JAVA_17, (), {"MALLOC_ARENA_MAX": "4"})
    assert "MALLOC_ARENA_MAX stays 4" in (shrunk.said or "")


@pytest.mark.parametrize("mode", [MERGE, SHRINK])
def test_containers_get_the_same_from_both_programs(mode: RuntimeFlags) -> None:
    words = [word.decode() for word in _variables(variables_of_container(mode).variables)]
    text = re.sub(r'"\s*\n?\s*"', "", HEADER.read_text().replace("\\\n", ""))
    texts = dict(re.findall(r'#define (\w+)\s+"(.*?)"\n', text))
    (row,) = re.findall(rf"\[RUNTIME_FLAGS_{mode.name}\] = {{(.*?), NULL}}", text, re.DOTALL)
    for name, value in texts.items():
        row = row.replace(name, f'"{value}"')
    row = re.sub(r'"\s+"', "", row)
    assert re.findall(r'"(.*?)"', row) == words


def test_a_unit_whose_options_are_only_known_at_its_start(tmp_path: Path) -> None:
    java = java_home(tmp_path, 'JAVA_VERSION="17.0.2"\n')
    target = TargetFacts(str(java), elf_class_bits=64)
    for arguments, environment in ((["$OPTS"], {}), (["-jar"], None)):
        found = variables_of_unit(MERGE, target, arguments, environment)
        assert all(COLLECTOR not in variable.text for variable in found.variables)
    assert variables_of_unit(OFF, target, [], {}) == RuntimeVariables()


def java_home(folder: Path, release: str) -> Path:
    (folder / "bin").mkdir()
    java = folder / "bin/java"
    java.write_bytes(b"\x7fELF")
    (folder / "release").write_text(release)
    return java


@pytest.mark.parametrize(
    ("release", "version", "major", "variant"),
    [
        ('JAVA_VERSION="17.0.15"\nJVM_VARIANT="Hotspot"\n', "17.0.15", 17, "hotspot"),
        ('IMPLEMENTOR="x"\nJAVA_VERSION="1.8.0_402"\n', "1.8.0_402", 8, None),
        ('JAVA_VERSION="25"\nJVM_VARIANT="Openj9"', "25", 25, "openj9"),
        ('JAVA_VERSION="21-ea"\n', "21-ea", 21, None),
        ('JAVA_VERSION="99999"\n', "99999", None, None),
        ("JAVA_VERSION=17\n", None, None, None),
        ('JAVA_VERSION="1\x1b[2J"\n', None, None, None),
        ("", None, None, None),
    ],
)
def test_release_files(
    tmp_path: Path, release: str, version: str | None, major: int | None, variant: str | None
) -> None:
    found = with_release(Runtime(JAVA, "seen"), java_home(tmp_path, release))
    assert (found.version, found.major, found.variant) == (version, major, variant)
    assert found.has_archive is (None if version is None else False)


def test_a_missing_class_archive_is_named(tmp_path: Path) -> None:
    java = java_home(tmp_path, 'JAVA_VERSION="21.0.4"\n')
    found = with_release(Runtime(JAVA, "seen"), java)
    row = flags_row(OFF, found, variables(found))
    assert row is not None
    assert "java -Xshare:dump" in row.todo
    assert row.found.startswith("off; --runtime-flags=merge sets, for OpenJDK 21.0.4: JAVA_")
    (tmp_path / "lib/server").mkdir(parents=True)
    (tmp_path / "lib/server/classes.jsa").touch()
    found = with_release(Runtime(JAVA, "seen"), java)
    row = flags_row(MERGE, found, variables(found))
    assert row is not None
    assert "--runtime-flags=shrink took" in row.todo
    row = flags_row(SHRINK, found, variables(found))
    assert row is not None
    assert row.todo == ""
    assert flags_row(OFF, Runtime("CPython", "seen"), RuntimeVariables()) is None
