"""Readers on trees of other kernels, and on garbage."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.facts.host import read_host
from ksmrun.facts.ksm import read_ksm
from ksmrun.facts.launcher import parse_probe
from ksmrun.facts.process import has_marked_memory, read_ksm_stat, read_memory
from ksmrun.facts.text import bracketed, kib_fields, parse_fields, parse_int
from ksmrun.model.errors import KsmrunError


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@given(st.text())
def test_parse_int_never_raises(text: str) -> None:
    number = parse_int(text)
    assert number is None or str(number) == text.strip().lstrip("0") or number == int(text)


@given(st.text())
def test_text_readers_never_raise(text: str) -> None:
    parse_fields(text)
    kib_fields(text, ("a",))
    bracketed(text)


def test_what_is_absent_is_none(tmp_path: Path) -> None:
    host = read_host(tmp_path)
    assert not host.ksm.present
    for name in ("mem_available_bytes", "thp_enabled", "max_map_count", "hidepid", "no_new_privs"):
        assert getattr(host, name) is None, name


def test_garbage_in_counters(tmp_path: Path) -> None:
    folder = "sys/kernel/mm/ksm"
    root = tree(tmp_path, {f"{folder}/run": "garbage\n", f"{folder}/pages_shared": "\xff\x00"})
    ksm = read_ksm(root)
    assert ksm.present
    assert ksm.run is None
    assert ksm.values["run"] == "garbage"
    assert ksm.number("pages_shared") is None


def test_ksm_stat_of_6_1(tmp_path: Path) -> None:
    """Only rmap_items is in ksm_stat; merging pages are in a file of their own."""
    tree(tmp_path, {"ksm_stat": "ksm_rmap_items 7\n", "ksm_merging_pages": "3\n"})
    found = read_ksm_stat(tmp_path)
    assert (found.rmap_items, found.merging_pages) == (7, 3)
    assert found.profit_bytes is found.zero_pages is found.merge_any is None
    assert found.enabled_by == "seen"


@pytest.mark.parametrize(
    ("merge_any", "mergeable", "enabled_by"),
    [("yes", "yes", "prctl"), ("no", "yes", "madvise"), ("no", "no", None)],
)
def test_ksm_stat_of_6_14(
    tmp_path: Path, merge_any: str, mergeable: str, enabled_by: str | None
) -> None:
    text = (
        "ksm_rmap_items 9\nksm_zero_pages 2\nksm_merging_pages 5\nksm_process_profit -64\n"
        f"ksm_merge_any: {merge_any}\nksm_mergeable: {mergeable}\n"
    )
    found = read_ksm_stat(tree(tmp_path, {"ksm_stat": text}))
    assert (found.zero_pages, found.merging_pages, found.profit_bytes) == (2, 5, -64)
    # Whatever was merged before: without the flag the program is no longer merge-enabled.
    assert found.enabled_by == enabled_by


def test_marked_memory_before_6_14(tmp_path: Path) -> None:
    """Debian 13's 6.12 has no ksm_merge_any; the marks in smaps show it."""
    text = "00400000-00401000 rw-p 0 00:00 0\nRss: 4 kB\nVmFlags: rd wr mr mw me ac {}sd \n"
    assert has_marked_memory(tree(tmp_path / "on", {"smaps": text.format("mg ")}))
    assert not has_marked_memory(tree(tmp_path / "off", {"smaps": text.format("")}))
    assert not has_marked_memory(tree(tmp_path / "none", {"smaps": ""}))


def test_smaps_rollup_before_5_3(tmp_path: Path) -> None:
    text = "00400000-7ffe000 ---p 00000000 00:00 0  [rollup]\nRss:  884 kB\nPss:   385 kB\n"
    memory = read_memory(tree(tmp_path, {"smaps_rollup": text}))
    assert (memory.rss_bytes, memory.pss_bytes) == (884 * 1024, 385 * 1024)
    assert memory.pss_anonymous_bytes is None


@pytest.mark.parametrize(
    ("text", "nodes"), [("0\n", 1), ("0-1\n", 2), ("0-1,4\n", 3), ("\n", None), ("x", None)]
)
def test_numa_nodes(tmp_path: Path, text: str, nodes: int | None) -> None:
    root = tree(tmp_path, {"sys/devices/system/node/has_memory": text})
    assert read_host(root).numa_nodes == nodes


@pytest.mark.parametrize(
    ("files", "engine"),
    [
        ({}, None),
        ({"run/.containerenv": ""}, "podman"),
        ({".dockerenv": ""}, "docker"),
        ({"run/systemd/container": "systemd-nspawn\n"}, "systemd-nspawn"),
        ({"proc/1/environ": "A=1\0container=lxc\0"}, "lxc"),
    ],
)
def test_container(tmp_path: Path, files: dict[str, str], engine: str | None) -> None:
    assert read_host(tree(tmp_path, files)).container == engine


@pytest.mark.parametrize(
    ("options", "hidden"),
    [
        ("rw", False),
        ("rw,hidepid=2", True),
        ("rw,hidepid=invisible", True),
        ("rw,hidepid=0", False),
    ],
)
def test_hidepid(tmp_path: Path, options: str, hidden: bool) -> None:
    below = "21 1 0:20 / /proc rw,relatime - proc proc rw,hidepid=1\n"
    line = f"22 1 0:21 / /proc rw,relatime shared:5 - proc proc {options}\n"
    assert read_host(tree(tmp_path, {"proc/self/mountinfo": below + line})).hidepid is hidden


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"kernel": 1}', "{"])
def test_a_probe_that_is_not_understood(text: str) -> None:
    with pytest.raises(KsmrunError, match="install ksmrun again"):
        parse_probe(text)
