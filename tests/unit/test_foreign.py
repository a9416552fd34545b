"""Paths that others chose are opened only if they are regular files, and never block."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ksmrun.facts.cgroup import hierarchies, members
from ksmrun.facts.containers import container_name
from ksmrun.facts.maps import running_key
from ksmrun.facts.memory_groups import memory_groups, memory_path
from ksmrun.facts.placement import placement
from ksmrun.facts.process import has_marked_memory
from ksmrun.facts.text import parse_fields, read_int
from ksmrun.facts.text import read_text as read_kernel_text
from ksmrun.facts.wraps import find_wraps
from ksmrun.model.memory_group import GroupState
from ksmrun.model.process import Container
from ksmrun.model.wrap import LAUNCHER
from ksmrun.support import foreign
from ksmrun.support.foreign import open_regular, read_bytes, read_text, resolved

# A cgroup's name may contain any byte but a line feed and a slash; str.splitlines() splits at each.
PARTING = ("\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r")
GIB = 1 << 30


def irregular(folder: Path) -> dict[str, Path]:
    """Make one file of each irregular type."""
    os.mkfifo(folder / "fifo")
    # Through its folder's descriptor, because a socket path is limited to 108 bytes (unix(7)).
    place = os.open(folder, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"/proc/self/fd/{place}/socket")
    os.close(place)
    (folder / "device").symlink_to("/dev/zero")
    (folder / "terminal").symlink_to("/dev/ptmx")
    (folder / "folder").mkdir()
    (folder / "circle").symlink_to("circle")
    return {each.name: each for each in folder.iterdir()}


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "terminal", "folder", "circle"])
def test_what_is_no_regular_file(tmp_path: Path, kind: str) -> None:
    path = irregular(tmp_path)[kind]
    with pytest.raises(OSError):
        open_regular(path)
    assert read_text(path) is None
    assert foreign.read_text(path / "below") is None


def test_reading_is_bounded_and_links_are_told(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"x" * 10_000)
    link.symlink_to(file)
    assert len(read_bytes(file, 5000)) == 5000
    assert len(read_bytes(link)) == 10_000
    with pytest.raises(OSError):
        read_bytes(link, follow=False)
    with pytest.raises(OSError, match="contains a NUL"):
        read_bytes(tmp_path / "a\0b")
    assert resolved(tmp_path / "link") == str(file)
    (tmp_path / "circle").symlink_to("circle")
    assert resolved(tmp_path / "circle")


def test_without_proc_the_same_file_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a chroot without /proc."""
    file = tmp_path / "file"
    file.write_text("here")
    real = os.open

    def no_proc(path: str | Path, *arguments: int, **options: int) -> int:
        if str(path).startswith("/proc/self/fd"):
            raise FileNotFoundError
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", no_proc)
    assert read_text(file) == "here"


def test_files_of_the_kernel() -> None:
    """Some of them refuse a large read."""
    assert read_int(Path("/proc/sys/vm/max_map_count"))
    assert read_kernel_text(Path("/proc/self/status"))
    assert read_text(Path("/proc/sys/kernel/random/boot_id"))


def test_a_script_that_is_a_fifo_by_now(tmp_path: Path) -> None:
    (tmp_path / "cwd").mkdir()
    (tmp_path / "cmdline").write_bytes(b"sh\0script\0")
    os.mkfifo(tmp_path / "cwd/script")
    assert running_key(tmp_path, "/bin/sh") == "/bin/sh"


def test_a_home_with_anything_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    home = tmp_path / "home/u/.config/systemd/user"
    home.mkdir(parents=True)
    irregular(home)
    (home / "good.service").write_text(f"ExecStart={LAUNCHER} -- x")
    (home / "far").symlink_to("/proc/self/pagemap")
    user = pwd.struct_passwd(("u", "x", 1, 1, "", "/home/u", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [user])
    assert [each.path.name for each in find_wraps(tmp_path)] == ["good.service"]


@pytest.mark.parametrize("mark", PARTING)
def test_names_of_cgroups(tmp_path: Path, mark: str) -> None:
    text = f"0::/a{mark}b{mark}/0::/c:d\n"
    assert list(hierarchies(text)) == [([""], f"/a{mark}b{mark}/0::/c:d")]
    assert memory_path(text) == f"/a{mark}b{mark}/0::/c:d"
    assert placement(text).container is None
    folder = tmp_path / "proc/7"
    folder.mkdir(parents=True)
    (folder / "cgroup").write_bytes(text.encode("utf-8"))
    assert members("/x", tmp_path) == ()
    assert members(f"/a{mark}b{mark}", tmp_path) == (7,)


def test_what_is_no_line_of_a_cgroup() -> None:
    assert list(hierarchies("garbage\n0:\n\n4:memory,cpu:/x\n")) == [(["memory", "cpu"], "/x")]


@pytest.mark.parametrize("mark", PARTING)
def test_a_name_is_no_further_line(tmp_path: Path, mark: str) -> None:
    status = f"Name:\tx{mark}PPid:\t1{mark}Extra:\t0\nPPid:\t77\n"
    assert parse_fields(status)["PPid"] == "77"
    assert "Extra" not in parse_fields(status)
    (tmp_path / "smaps").write_text(f"1000-2000 rw-p 0 0:0 1 /x{mark}VmFlags: mg\nVmFlags: rd\n")
    assert not has_marked_memory(tmp_path)


def test_the_limit_of_the_container_that_this_runs_in(tmp_path: Path) -> None:
    """In a cgroup namespace the container's own group is the topmost (cgroup_namespaces(7))."""
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text(f"{4 * GIB}\n")
    (group / "memory.current").write_text(f"{3 * GIB}\n")
    found = memory_groups({"/": 100, "/below": 11, "/../outside": 7}, tmp_path)
    assert found == (GroupState("/", 4 * GIB, GIB, 111, str(group / "memory.max")),)
    assert found[0].raising.startswith("raise this container's limit on its host")


def test_an_id_is_no_path(tmp_path: Path) -> None:
    name = "../" * 30
    assert container_name(Container("systemd-nspawn", name), 1, tmp_path) == name
    assert len(container_name(Container("lxc", "x" * 5000), 1, tmp_path)) == 255
