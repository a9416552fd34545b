"""Flags that runtimes take from their environment: which fit the program that is started. Pure.

A flag that a JVM does not know, or that contradicts another one, keeps it from starting. So only
flags that the found version knows are set, nothing that contradicts the user's options, and where
these cannot be known (start scripts, containers) nothing that any of them could contradict.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ksmrun.model.launch import RuntimeFlags
from ksmrun.model.runtime import (
    HOTSPOT,
    JAVA,
    MONO,
    SHELL,
    Runtime,
    RuntimeVariables,
    Variable,
)
from ksmrun.plan.doctor import CheckRow
from ksmrun.plan.java_heap import java_options

# JAVA_TOOL_OPTIONS reaches every JVM, also in jsvc and of Java 8; JDK_JAVA_OPTIONS only the program
# `java` of 9 and later. Both are printed on stderr, and the command line comes after both.
JAVA_VARIABLE = "JAVA_TOOL_OPTIONS"
COLLECTOR = "-XX:+UseSerialGC"
EQUAL = (
    "-XX:-UsePerfData",
    "-Xbatch",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:ArchiveRelocationMode=0",
)
SMALL_HEAP = "-Xms16m"
SMALL_HEAP_BYTES = 16 << 20
FREE_RATIOS = ("-XX:MinHeapFreeRatio=5", "-XX:MaxHeapFreeRatio=15")
# In 22 and later, and in updates of 17 and 21 (JDK-8293114).
TRIM = "-XX:TrimNativeHeapInterval=1000"
# Typing errors in the user's own flags are not reported then; so not where the version is known.
TOLERANT = "-XX:+IgnoreUnrecognizedVMOptions"
# Majors that know all of EQUAL; tests/integration/test_runtime_flags.py starts them.
TESTED_MAJORS = (17, 21, 25)
ONE_ARENA = Variable("MALLOC_ARENA_MAX", "1")
MONO_FLAGS = Variable(
    "MONO_GC_PARAMS", "nursery-size=8m,major=marksweep,no-concurrent-sweep,", True
)

IS_COLLECTOR = re.compile(r"-XX:[+-]Use\w+GC|-Xincgc|-Xconcgc|-XX:\+AggressiveHeap")
# Options in files, which are not read.
IS_FILE = re.compile(r"@[^@].*|-XX:(Flags|VMOptionsFile)=.*|-XX:\+ReadVMOptionsFile")
MAXIMUM = re.compile(r"(?:-Xmx|-XX:MaxHeapSize=)(\d{1,18})([kKmMgGtT]?)")
IS_SIZE = re.compile(r"-Xm[ns].*|-XX:(Initial|Min)HeapSize=.*|-XX:(Max)?NewSize=.*")
IS_RATIO = re.compile(r"-XX:M(in|ax)HeapFreeRatio=.*")
UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}

SHRINK_FIRST = (
    "a server in Java gains more by a smaller heap: --runtime-flags=shrink took 3 idle Tomcats "
    "from 559 to 133 MiB before any merging"
)
FLAGS_ITEM = "runtime flags"
# A runtime image of jlink, for example.
NO_ARCHIVE = "its class archive is missing, which copies share as a file: run `java -Xshare:dump`"
NOTHING_KNOWN = "this program has no runtime that takes such flags from its environment"


def runtime_variables(
    mode: RuntimeFlags,
    runtime: Runtime | None,
    words: Sequence[str] | None,
    environment: Mapping[str, str],
    *,
    is_later: bool = False,
) -> RuntimeVariables:
    """Return the variables for a program and the sentence about them.

    words: its arguments; None if they or its environment are not known yet. is_later: the runtime
    may have another version when it starts.
    """
    if mode is RuntimeFlags.OFF:
        return RuntimeVariables()
    shrinks = mode is RuntimeFlags.SHRINK
    name = None if runtime is None else runtime.name
    if runtime is not None and name == JAVA and runtime.variant not in (None, HOTSPOT):
        return _nothing(f"{runtime.variant} is another JVM than HotSpot, whose flags these are")
    if runtime is not None and name == MONO and "boehm" in runtime.evidence:
        return _nothing("Mono's Boehm collector has none")
    if runtime is None or name not in (JAVA, MONO, SHELL):
        return _nothing(NOTHING_KNOWN)
    variables: list[Variable] = []
    left_out: list[str] = []
    if name in (JAVA, SHELL):
        is_known = name == JAVA and not runtime.is_inside and words is not None
        options = [*java_options(words or (), environment)] if is_known else None
        major = None if is_later or name == SHELL else runtime.major
        text, left_out = java_flags(shrinks, major, options)
        variables.append(Variable(JAVA_VARIABLE, text + " ", True))
    if name in (MONO, SHELL):
        variables.append(MONO_FLAGS)
    # Mono's copies differ more with one arena, in which its threads take turns, and are no smaller.
    if shrinks and name != MONO:
        variables.append(ONE_ARENA)
    return RuntimeVariables(tuple(variables), _said(runtime, variables, left_out, environment))


def java_flags(
    shrinks: bool, major: int | None, options: Sequence[str] | None
) -> tuple[str, list[str]]:
    """Return the flags in one text, and sentences about those that are left out.

    options: those that the user gives; None if they are not known.
    """
    flags: list[str] = []
    left_out: list[str] = []
    files = [word for word in options or () if IS_FILE.fullmatch(word)]
    is_unknown = options is None or bool(files)
    given = () if options is None else options
    if major not in TESTED_MAJORS or shrinks:
        flags.append(TOLERANT)
    rival = next((word for word in given if IS_COLLECTOR.fullmatch(word)), None)
    if is_unknown:
        left_out.append(f"without {COLLECTOR}, as the options may choose another collector")
    elif rival is not None:
        left_out.append(f"without {COLLECTOR}, as {rival} is given")
    else:
        flags.append(COLLECTOR)
    flags += EQUAL
    if not shrinks:
        return " ".join(flags), left_out
    maximum = _maximum_bytes(given)
    size = next((word for word in given if IS_SIZE.fullmatch(word)), None)
    if size is not None:
        left_out.append(f"without {SMALL_HEAP}, as {size} is given")
    elif maximum is not None and maximum < SMALL_HEAP_BYTES:
        left_out.append(f"without {SMALL_HEAP}, as the heap has a smaller maximum")
    elif not is_unknown:
        flags.append(SMALL_HEAP)
    ratio = next((word for word in given if IS_RATIO.fullmatch(word)), None)
    if ratio is not None:
        left_out.append(f"without free ratios, as {ratio} is given")
    elif not is_unknown:
        flags += FREE_RATIOS
    if is_unknown:
        left_out.append(f"without {' '.join((SMALL_HEAP, *FREE_RATIOS))}, for the same reason")
    return " ".join((*flags, TRIM)), left_out


def _maximum_bytes(options: Sequence[str]) -> int | None:
    """Return the heap's maximum; of several the last counts."""
    found = [match for word in options if (match := MAXIMUM.fullmatch(word)) is not None]
    return int(found[-1][1]) << UNITS[found[-1][2].lower()] if found else None


def flags_row(
    mode: RuntimeFlags, runtime: Runtime | None, would: RuntimeVariables
) -> CheckRow | None:
    """Return the row of `ksmrun check`; None for what has no such flags.

    would: what is set by the mode that is asked for, or by merge.
    """
    if runtime is None or runtime.name not in (JAVA, MONO, SHELL):
        return None
    said = (would.said or "").removeprefix("runtime flags for ").removeprefix("runtime flags: ")
    todo = [NO_ARCHIVE] if runtime.has_archive is False else []
    if mode is not RuntimeFlags.SHRINK and runtime.name == JAVA:
        todo.append(SHRINK_FIRST)
    if mode is RuntimeFlags.OFF:
        said = f"off; --runtime-flags=merge sets, for {said}"
        todo.append("ksmrun help runtimes shows what they gain and cost")
    return CheckRow(FLAGS_ITEM, "ok", said, "; ".join(todo))


def _nothing(why: str) -> RuntimeVariables:
    return RuntimeVariables((), f"runtime flags: none set, as {why}")


def _said(
    runtime: Runtime,
    variables: Sequence[Variable],
    left_out: Sequence[str],
    environment: Mapping[str, str],
) -> str:
    """Return one line: what is set, before what, and what is not."""
    parts = []
    for variable in variables:
        own = environment.get(variable.name)
        text = variable.text[:-1] if variable.is_prepended else variable.text
        if own is None:
            parts.append(f"{variable.name}='{text}'")
        elif variable.is_prepended:
            parts.append(f"{variable.name}='{text}' before its own words")
        else:
            parts.append(f"{variable.name} stays {own}")
    version = "" if runtime.version is None else f" {runtime.version}"
    kind = "what a script starts" if runtime.name == SHELL else f"{runtime.name}{version}"
    notes = [*left_out]
    if runtime.name == JAVA:
        notes.append(f"Java prints {JAVA_VARIABLE} on stderr")
    return f"runtime flags for {kind}: {'; '.join((', '.join(parts), *notes))}"
