"""Configurations that ksmrun-oci leaves as they are, or that are hostile."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from waiting import LAST_RESORT_SECONDS

from .bundles import Config
from .conftest import run, tree
from .recorder import Start, assert_passed_through, bundle, record, start, wrapped

__all__ = ["bundle", "record", "start"]


def change(config: Config, path: str, value: Any) -> None:
    *folders, last = path.split(".")
    for folder in folders:
        config = config[folder]
    if value is None:
        del config[last]
    else:
        config[last] = value


OBSTACLES: dict[str, tuple[str, Any, str]] = {
    "version 2": ("ociVersion", "2.0.0", "ociVersion"),
    "version 0": ("ociVersion", "0.7.0", "ociVersion"),
    "no version": ("ociVersion", None, "ociVersion"),
    "no process": ("process", None, "process.args"),
    "no args": ("process.args", None, "process.args"),
    "empty args": ("process.args", [], "process.args"),
    "args of another type": ("process.args", ["a", 1], "process.args"),
    "a virtual machine": ("vm", {"kernel": {"path": "/k"}}, '"vm"'),
    "windows": ("windows", {}, '"windows"'),
    "krun": ("annotations", {"run.oci.handler": "krun"}, "run.oci.handler"),
    "no tmpfs": ("mounts", [], "leaves no trace"),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_configs_that_are_not_wrapped(
    start: Start, bundle: Path, tmp_path: Path, name: str
) -> None:
    path, value, why = OBSTACLES[name]
    file = bundle / "config.json"
    config = json.loads(file.read_text())
    change(config, path, value)
    file.write_text(json.dumps(config))
    before = file.read_bytes(), file.stat().st_mtime_ns, tree(bundle)
    log = tmp_path / "log"
    words = ["--log", str(log), "--log-format", "json"]
    assert_passed_through(start(*words, "create", "-b", str(bundle), "id"), log, why)
    assert (file.read_bytes(), file.stat().st_mtime_ns, tree(bundle)) == before
    # There is no message about a container that does not ask.
    log.unlink()
    done = start("--ksmrun-by-request", *words, "run", "-b", str(bundle), "id")
    assert done.returncode == 42
    assert not log.exists()
    # And it does not start if it must be merged.
    config.setdefault("annotations", {})["ksmrun.require"] = "true"
    file.write_text(json.dumps(config))
    done = start(*words, "create", "-b", str(bundle), "id")
    assert done.returncode == 125
    entry = json.loads(log.read_text())
    assert entry["level"] == "error"
    assert why in entry["msg"]


BROKEN = {
    "empty": b"",
    "cut off": b'{"ociVersion": "1.0.2", "process": {',
    "no JSON": b"\x7fELF\0\1",
    "no UTF-8": b'{"ociVersion": "\xff"}',
    "two values": b"{}{}",
    "a list": b"[1]",
    "deep": b"[" * 100000,
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_configs(start: Start, bundle: Path, tmp_path: Path, name: str) -> None:
    file = bundle / "config.json"
    file.write_bytes(BROKEN[name])
    log = tmp_path / "log"
    words = ["--log", str(log), "--log-format=json", "run", "--bundle", str(bundle), "id"]
    assert_passed_through(start(*words), log, str(file))
    assert file.read_bytes() == BROKEN[name]


def test_configs_that_cannot_be_read(start: Start, bundle: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = ["--log", str(log), "--log-format=json", "run", "--bundle", str(bundle), "id"]
    (bundle / "config.json").unlink()
    assert_passed_through(start(*words), log, "No such file")
    log.unlink()
    (bundle / "config.json").mkdir()
    assert_passed_through(start(*words), log, "cannot be read")


def hostile_configs(config: Config) -> dict[str, tuple[bytes, str]]:
    """Return what readers interpret differently, or what takes long, and the message about it."""

    def changed(text: str, by: str) -> bytes:
        plain = json.dumps(config)
        assert text in plain
        return plain.replace(text, by, 1).encode()

    mounts = [{"destination": f"/dev/{i}", "type": "tmpfs", "source": "x"} for i in range(40_000)]
    return {
        "args twice": (changed('"args"', '"args": ["other"], "args"'), '"args" twice'),
        "process in two cases": (changed('"process"', '"Process": {}, "process"'), "twice"),
        "a version with a NUL": (changed('"ociVersion": "', '"ociVersion": "1.0\\u0000'), "1.x"),
        "many mounts": (json.dumps({**config, "mounts": mounts}).encode(), "10000 mounts"),
        "huge": (json.dumps({**config, "x": " " * (9 << 20)}).encode(), "too large"),
    }


@pytest.mark.parametrize("name", hostile_configs({"args": 1, "process": 1, "ociVersion": "1"}))
def test_hostile_configs(start: Start, bundle: Path, tmp_path: Path, name: str) -> None:
    file, log = bundle / "config.json", tmp_path / "log"
    data, why = hostile_configs(json.loads(file.read_text()))[name]
    file.write_bytes(data)
    words = ["--log", str(log), "--log-format=json", "run", "--bundle", str(bundle), "id"]
    assert_passed_through(start(*words, timeout=LAST_RESORT_SECONDS), log, why)
    assert file.read_bytes() == data


def test_what_is_deep_is_no_deeper(start: Start, bundle: Path) -> None:
    """Nothing is processed recursively."""
    file = bundle / "config.json"
    config = json.loads(file.read_text())
    deep = "[" * 1_000_000 + "]" * 1_000_000
    file.write_text(json.dumps({**config, "x": 1}).replace('"x": 1', f'"x": {deep}'))
    assert start("run", "-b", str(bundle), "id", timeout=LAST_RESORT_SECONDS).returncode == 42
    assert b'"/dev/ksmrun/ksmrun-exec"' in file.read_bytes()


@pytest.mark.parametrize("kind", ["pipe", "device", "another's link"])
def test_what_is_no_file_of_one_s_own(
    start: Start, bundle: Path, tmp_path: Path, kind: str
) -> None:
    """Nothing blocks, and no link of another user's leads to another bundle."""
    file, log, other = bundle / "config.json", tmp_path / "log", tmp_path / "other.json"
    before = file.read_bytes()
    file.rename(other)
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        os.mknod(file, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    else:
        file.symlink_to(other)
        os.chown(file, 65534, 65534, follow_symlinks=False)
    words = ["--log", str(log), "--log-format=json", "run", "--bundle", str(bundle), "id"]
    assert_passed_through(start(*words, timeout=LAST_RESORT_SECONDS), log, "cannot be read")
    assert other.read_bytes() == before


@pytest.mark.usefixtures("start")
def test_no_room_for_what_is_new(bundle: Path, tmp_path: Path, oci: Path) -> None:
    """It stays as it was, and nothing is left beside it."""
    log, config = tmp_path / "log", bundle / "config.json"
    room = (config.stat().st_size + 4095) // 4096 * 4096
    script = """
    cp "$1/config.json" "$2" && mount -t tmpfs -o size=$3 tmpfs "$1" && cp "$2" "$1/config.json" &&
        "$4" --log "$5" --log-format json create -b "$1" id; cmp "$1/config.json" "$2"; ls -A "$1"
    """
    copy = tmp_path / "copy"
    words: list[str | Path] = [bundle, copy, str(room), oci, log]
    done = run("unshare", "-m", "sh", "-c", script, "x", *words)
    assert done.stdout == "out\nconfig.json\n", done
    assert "No space left" in json.loads(log.read_text())["msg"]


@pytest.mark.parametrize(
    "name", ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"]
)
@pytest.mark.parametrize("kind", ["sandbox", "container"])
def test_a_pause_container_is_left(start: Start, bundle: Path, name: str, kind: str) -> None:
    file = bundle / "config.json"
    config = json.loads(file.read_text())
    config["annotations"] = {name: kind, "ksmrun.require": "true"}
    file.write_text(json.dumps(config))
    assert start("create", "-b", str(bundle), "id").returncode == 42
    assert wrapped(bundle) is (kind == "container")


def test_configs_behind_a_link_and_read_only(start: Start, bundle: Path, tmp_path: Path) -> None:
    file, real = bundle / "config.json", tmp_path / "real.json"
    file.rename(real)
    real.chmod(0o400)
    file.symlink_to("../real.json")
    assert start("run", "-b", str(bundle), "id").returncode == 42
    assert wrapped(bundle)
    assert file.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o400
    assert tree(bundle) == ["config.json"]


@pytest.mark.usefixtures("start")
def test_a_read_only_file_system(bundle: Path, tmp_path: Path, oci: Path) -> None:
    log = tmp_path / "log"
    script = 'mount --bind -o ro "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    words = ["--log", str(log), "--log-format=json", "create", "-b", str(bundle), "id"]
    done = run("unshare", "-m", "sh", "-c", script, "mount", bundle, oci, *words)
    assert_passed_through(done, log, "Read-only file system")
    assert not wrapped(bundle)
