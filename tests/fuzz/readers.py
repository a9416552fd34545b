"""Python's readers of data that others write: any input is read or refused with one clear error.

Each runs for KSMRUN_FUZZ_SECONDS, with new examples each time; hypothesis keeps those that fail.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ksmrun.facts.cgroup import hierarchies
from ksmrun.facts.identity import read_identity
from ksmrun.facts.lua import find_lua
from ksmrun.facts.memory_groups import memory_path
from ksmrun.facts.placement import placement
from ksmrun.facts.runtime import find_runtime
from ksmrun.facts.smaps import by_kind, read_vmas
from ksmrun.facts.stat import command_words, read_stat
from ksmrun.facts.target import look_at
from ksmrun.facts.trust_containers import of_annotations
from ksmrun.facts.trust_file import parse_trust
from ksmrun.facts.trust_traits import cgroup_places, outermost_container, trusted_units
from ksmrun.host import record
from ksmrun.host.trust_state import read_trust_state
from ksmrun.model.errors import KsmrunError
from ksmrun.model.process import Container
from ksmrun.support.words import for_json, printable

SECONDS = float(os.environ.get("KSMRUN_FUZZ_SECONDS", "0.2"))
# Names of processes and of cgroups, in which characters that end a field or line are frequent.
ODD = st.sampled_from(list("\n\r\t\x1b\x85\u2028\u2029\x1c :/()\\.@-[]0a\ufeff\u202e"))
NAME = st.lists(ODD | st.characters(codec="utf-8", exclude_characters="\0"), max_size=15).map(
    "".join
)
RAW = NAME.map(str.encode) | st.binary(max_size=60)
PROGRAM = Path("/bin/sleep").read_bytes()
examples = settings(
    max_examples=50, deadline=None, derandomize=False, suppress_health_check=list(HealthCheck)
)


def for_a_while(check: Callable[[], None]) -> None:
    until = time.monotonic() + SECONDS
    while True:
        check()
        if time.monotonic() >= until:
            return


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder like /proc/PID."""
    return tmp_path


GROUPS = st.lists(
    st.sampled_from(["/", "/a.slice", "/user@0.service", "/libpod-" + "0" * 64, "/x.scope"])
    | RAW.map(lambda raw: "/" + raw.decode("utf-8", "surrogateescape").replace("\n", "")),
    max_size=6,
).map("".join)


def test_cgroup() -> None:
    @examples
    @given(path=GROUPS, rest=RAW)
    def check(path: str, rest: bytes) -> None:
        found = list(hierarchies(f"0::{path}\n"))
        assert found == [([""], path)]
        memory_path(f"0::{path}\n")
        where = placement(f"0::{path}\n")
        json.dumps(for_json([where.unit, str(where.container)])).encode()
        text = rest.decode("utf-8", "surrogateescape")
        placement(text)
        memory_path(text)

    for_a_while(check)


def test_stat_and_command_line(folder: Path) -> None:
    @examples
    @given(
        name=RAW.map(lambda raw: raw.replace(b"\0", b"")), words=RAW, state=st.binary(max_size=9)
    )
    def check(name: bytes, words: bytes, state: bytes) -> None:
        fields = b" ".join(b"%d" % number for number in range(1, 50))
        (folder / "stat").write_bytes(b"7 (%s) S %s\n" % (name, fields))
        (folder / "cmdline").write_bytes(words)
        (folder / "cgroup").write_bytes(b"0::/%s\n" % name.replace(b"\n", b""))
        (folder / "status").write_bytes(b"Name:\t%s\nUid:\t0\t%s\t0\n" % (name, state))
        stat = read_stat(folder)
        assert stat.name.encode("utf-8", "surrogateescape") == name
        assert (stat.state, stat.parent, stat.start_ticks) == ("S", 1, 19)
        known = read_identity(folder, 7)
        shown = printable(f"{known.name} {known.command} {known.unit}")
        assert shown.isprintable()
        shlex.split(shlex.join(command_words(folder)))
        json.dumps(for_json(known.command), ensure_ascii=False).encode()

    for_a_while(check)


def test_smaps(folder: Path) -> None:
    @examples
    # proc_pid_maps(5): a line feed in a name comes as \012.
    @given(names=st.lists(RAW.map(lambda raw: raw.replace(b"\n", b"\\012")), max_size=5))
    def check(names: list[bytes]) -> None:
        line = (
            b"1000-3000 rw-p 00000000 08:01 5    %s\nRss: 8 kB\nAnonymous: 4 kB\nVmFlags: rd mg\n"
        )
        (folder / "smaps").write_bytes(b"".join(line % name for name in names))
        vmas = list(read_vmas(folder))
        assert [(vma.start, vma.end) for vma in vmas] == [(0x1000, 0x3000)] * len(names)
        assert sum(kind.vmas for kind in by_kind(vmas).values()) == len(names)

    for_a_while(check)


def test_elf(folder: Path) -> None:
    sections = int.from_bytes(PROGRAM[40:48], "little")
    place = st.integers(0, 2000) | st.integers(sections, len(PROGRAM) - 1)
    file = folder / "program"
    file.touch(0o755)

    @examples
    @given(
        changes=st.dictionaries(place, st.binary(min_size=1, max_size=8), max_size=6),
        size=st.just(len(PROGRAM)) | st.integers(0, len(PROGRAM)),
        script=st.none() | st.binary(max_size=300).map(lambda rest: b"#!" + rest),
    )
    def check(changes: dict[int, bytes], size: int, script: bytes | None) -> None:
        data = bytearray(PROGRAM)
        for at, found in changes.items():
            data[at : at + len(found)] = found
        file.write_bytes(data[:size] if script is None else script)
        target = look_at(str(file).encode(), {})
        json.dumps(for_json(str(target))).encode()
        find_runtime(target)
        find_lua(file)

    for_a_while(check)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NAME | st.sampled_from(["*", "1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=3),
    max_leaves=8,
)


def test_state(folder: Path) -> None:
    file = folder / "record.json"
    file.touch(0o600)
    path = "sys/kernel/mm/ksm/run"
    change = {"path": path, "before": "0", "written": ["1"]}

    @examples
    @given(
        top=st.dictionaries(st.sampled_from(["schema", "boot_id", "changes"]), VALUES, max_size=1),
        below=st.dictionaries(st.sampled_from(["path", "before", "written"]), VALUES, max_size=2),
        raw=st.none() | RAW,
    )
    def check(top: dict[str, object], below: dict[str, object], raw: bytes | None) -> None:
        whole = {"schema": record.SCHEMA, "boot_id": "a-1", "changes": [change | below]} | top
        text = json.dumps(whole).encode()
        file.write_bytes(text if raw is None else text[: len(raw) * 3] + raw)
        try:
            found = record.load(file)
        except KsmrunError:
            return
        assert found is not None
        for each in found.changes:
            assert record.PATH.fullmatch(each.path)
            assert record.VALUE.fullmatch(each.before)

    for_a_while(check)


TRUST = st.lists(
    st.sampled_from(
        [
            "[domain.a]\n",
            "[exempt]\n",
            "users = [0]\n",
            "units = ['*']\n",
            "containers = [{",
            "}]\n",
            "image = 'x'",
            "nodes = '0-1'\n",
            "executables = ['/x']\n",
            "groups = ['root']\n",
            ",",
        ]
    )
    | NAME,
    max_size=12,
).map("".join)


def test_trust_file() -> None:
    @examples
    @given(text=TRUST)
    def check(text: str) -> None:
        try:
            parse_trust(text)
        except KsmrunError as error:
            assert error.what and error.todo

    for_a_while(check)


def test_trust_state(tmp_path: Path) -> None:
    @examples
    @given(content=RAW | st.binary(max_size=400))
    def check(content: bytes) -> None:
        (tmp_path / "state").write_bytes(content)
        with pytest.raises(KsmrunError):
            read_trust_state(tmp_path)

    for_a_while(check)


def test_trust_cgroup() -> None:
    @examples
    @given(path=GROUPS)
    def check(path: str) -> None:
        for parts in cgroup_places(f"0::{path}\n1:name=systemd:{path}\n").values():
            # The units are those at the top, and nothing below a foreign folder counts.
            assert len(trusted_units(parts)) <= len(parts)
            found = outermost_container(parts)
            assert found is None or 0 < found[1] <= len(parts)

    for_a_while(check)


def test_trust_annotations() -> None:
    values = st.recursive(
        st.none() | st.integers() | NAME,
        lambda inner: st.lists(inner) | st.dictionaries(NAME, inner),
    )
    keys = st.sampled_from(
        [
            "io.kubernetes.cri.container-type",
            "io.kubernetes.cri-o.Labels",
            "io.kubernetes.cri.image-name",
            "io.kubernetes.cri.sandbox-namespace",
            "io.kubernetes.cri-o.ImageName",
            "io.kubernetes.cri-o.Namespace",
        ]
    )

    @examples
    @given(found=st.dictionaries(keys, values | values.map(json.dumps)))
    def check(found: dict[str, object]) -> None:
        traits = of_annotations(Container("containerd", "0" * 64), found)
        assert traits is None or isinstance(traits.image, str | None)

    for_a_while(check)
