"""ksmrun-oci passes everything else on; the only fake is a runtime that records its input."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from waiting import LAST_RESORT_SECONDS

from .bundles import Config, plain_config
from .conftest import Done, run, tree

RECORDER = """#!/bin/sh
for word; do printf '%s\\0' "$word"; done >"$RECORD"
echo out; echo err >&2; exit 42
"""
Start = Callable[..., Done]


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "record"


@pytest.fixture
def start(tmp_path: Path, oci: Path, record: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    recorder = tmp_path / "recorder"
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    monkeypatch.setenv("RECORD", str(record))
    monkeypatch.setenv("KSMRUN_OCI_RUNTIME", str(recorder))

    def start_one(*words: str | bytes, program: Path = oci, **options: Any) -> Done:
        command = [str(program), *words]
        return run(*command, **options)  # type: ignore[arg-type]

    return start_one


WORDS: list[list[str | bytes]] = [
    [],
    ["--version"],
    ["--help"],
    ["features"],
    ["--root", "/r", "state", "id"],
    ["kill", "--all", "id", "KILL"],
    ["delete", "--force", "id"],
    ["create", "--help"],
    ["checkpoint", "--image-path", "", "id"],
    ["restore", "-b", "/b", "id"],
    ["unheard-of", "--bundle", "/b", "--ksmrun-by-request", "id"],
    ["--unheard-of", "run", "id"],
    ["ps", "id", "", "a b", "new\nline", b"\xff\xfe", "*", "--", "-"],
    ["update", "--resources", "-", "id"],
    ["exec", "id-that-is-not-there", "sh", "-c", "true"],
    ["exec", "--bogus", "id", "sh"],
    ["run", "--bogus", "id"],
    ["run"],
    ["exec", "id"],
    ["exec", "../id", "sh"],
]


@pytest.mark.parametrize("words", WORDS, ids=lambda words: " ".join(map(str, words))[:40] or "none")
def test_every_word_byte_for_byte(start: Start, record: Path, words: list[str | bytes]) -> None:
    done = start(*words)
    assert (done.returncode, done.stdout) == (42, "out\n")
    raw = [word if isinstance(word, bytes) else word.encode() for word in words]
    assert record.read_bytes() == b"".join(word + b"\0" for word in raw)


def test_own_options_are_taken_out(start: Start, record: Path) -> None:
    start("--ksmrun-by-request", "state", "id")
    assert record.read_bytes() == b"state\0id\0"
    done = start("--ksmrun-help")
    assert done.returncode == 0
    assert "KSMRUN_OCI_RUNTIME" in done.stdout


def test_standard_input_goes_on(start: Start, tmp_path: Path, record: Path) -> None:
    """A --process that is no file is left for the runtime to read."""
    recorder = tmp_path / "recorder"
    recorder.write_text('#!/bin/sh\ncat >"$RECORD"\n')
    text = '{"args": ["true"]}'
    start("exec", "--process", "/dev/stdin", "id", stdin=None, input=text)
    assert record.read_text() == text


@pytest.fixture
def bundle(tmp_path: Path, root: Path) -> Path:
    """Make a bundle that would be wrapped."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(plain_config(root)))
    return folder


def assert_passed_through(done: Done, log: Path, why: str) -> None:
    assert (done.returncode, done.stdout, done.stderr) == (42, "out\n", "err\n")
    (line,) = log.read_text().splitlines()
    entry = json.loads(line)
    assert entry["level"] == "warning"
    assert why in entry["msg"], entry


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
    assert_passed_through(start(*words, timeout=20), log, why)
    assert file.read_bytes() == data


def test_what_is_deep_is_no_deeper(start: Start, bundle: Path) -> None:
    """Nothing is processed recursively."""
    file = bundle / "config.json"
    config = json.loads(file.read_text())
    deep = "[" * 1_000_000 + "]" * 1_000_000
    file.write_text(json.dumps({**config, "x": 1}).replace('"x": 1', f'"x": {deep}'))
    assert start("run", "-b", str(bundle), "id", timeout=20).returncode == 42
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
    assert_passed_through(start(*words, timeout=20), log, "cannot be read")
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


def wrapped(bundle: Path) -> bool:
    config = json.loads((bundle / "config.json").read_text())
    return bool(config["process"]["args"][0] == "/dev/ksmrun/ksmrun-exec")


RESTORE = ("restore", "--image-path", "/i", "--work-path", "/w", "--tcp-established", "-d")


def test_a_restored_container_has_the_launcher_s_mount(start: Start, bundle: Path) -> None:
    """CRIU does not restore without each mount that there was; the process is in the checkpoint."""
    file = bundle / "config.json"
    plain = json.loads(file.read_text())
    start("create", "-b", str(bundle), "id")
    mounts = json.loads(file.read_text())["mounts"]
    # As an engine writes it on the host on which a checkpoint is imported.
    file.write_text(json.dumps(plain))
    done = start(*RESTORE, "--bundle", str(bundle), "id")
    assert done.returncode == 42 and "ksmrun attach" in done.stderr
    after = json.loads(file.read_text())
    assert [each["destination"] for each in after["mounts"]] == [
        each["destination"] for each in mounts
    ]
    assert after["process"]["args"] == plain["process"]["args"]
    # In the bundle that it was created in.
    start("create", "-b", str(bundle), "id")
    start(*RESTORE, "--bundle", str(bundle), "id")
    assert json.loads(file.read_text()) == after


def test_a_restored_container_that_must_merge(start: Start, bundle: Path, record: Path) -> None:
    file = bundle / "config.json"
    plain = json.loads(file.read_text())
    plain["annotations"] = {"ksmrun.require": "true"}
    file.write_text(json.dumps(plain))
    done = start(*RESTORE, "-b", str(bundle), "id")
    assert done.returncode == 125 and "not started" in done.stderr
    assert not record.exists() and json.loads(file.read_text()) == plain
    plain["annotations"] = {"ksmrun.merge": "off"}
    file.write_text(json.dumps(plain))
    done = start(*RESTORE, "-b", str(bundle), "id")
    assert (done.returncode, done.stderr) == (42, "err\n")
    assert json.loads(file.read_text()) == plain


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


WAYS = ("runc's state", "crun's copy", "the default folder", "asked")


@pytest.mark.parametrize("way", WAYS)
def test_exec_finds_what_create_did(
    start: Start,
    bundle: Path,
    tmp_path: Path,
    record: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    """In the files of runc and crun, and by the specification's own command for other runtimes."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "xdg"))
    start("create", "-b", str(bundle), "id")
    assert wrapped(bundle)
    recorder, asked = tmp_path / "recorder", tmp_path / "asked"
    answer = json.dumps({"ociVersion": "1.0.2", "id": "id", "bundle": str(bundle)})
    script = f'case " $* " in *" state "*) touch {asked}; echo \'{answer}\'; exit;; esac'
    recorder.write_text(RECORDER.replace("for", f"{script}\nfor", 1))
    state = tmp_path / ("xdg/recorder" if way == "the default folder" else "state") / "id"
    state.mkdir(parents=True)
    if way == "crun's copy":
        (bundle / "config.json").rename(state / "config.json")
    elif way != "asked":
        labels = ["a=b", f"bundle={bundle}"]
        (state / "state.json").write_text(json.dumps({"id": "id", "config": {"labels": labels}}))
    root = [] if way == "the default folder" else [f"--root={state.parent}"]
    words = [*root, "exec", "-t", "id"]
    start(*words, "echo", "--", "a b")
    launcher = ["/dev/ksmrun/ksmrun-exec", "--quiet", "--"]
    expected = [*words, *launcher, "echo", "--", "a b"]
    assert record.read_bytes().decode().split("\0")[:-1] == expected
    assert asked.exists() is (way == "asked")
    # One that has a launcher already is left as it is.
    start(*words, "/x/ksmrun-exec", "true")
    assert record.read_bytes().decode().split("\0")[:-1] == [*words, "/x/ksmrun-exec", "true"]


def test_an_image_that_brings_a_launcher(start: Start, bundle: Path) -> None:
    file = bundle / "config.json"
    config = json.loads(file.read_text())
    config["process"]["args"] = ["/ksmrun-exec", "--", "sh"]
    file.write_text(json.dumps(config))
    start("run", "-b", str(bundle), "id")
    after = json.loads(file.read_text())
    assert after["process"]["args"] == ["/ksmrun-exec", "--", "sh"]
    # For exec.
    assert after["mounts"][-1]["destination"] == "/dev/ksmrun/ksmrun-exec"


def store(tmp_path: Path, bundle: Path, manifest: Any) -> Path:
    """Make the bundle where Podman would have it; manifest: the image's. None: no image."""
    place = tmp_path / "vfs-containers/id/userdata"
    place.parent.mkdir(parents=True)
    bundle.rename(place)
    entry = {"id": "id", "image": "" if manifest is None else "i"}
    (tmp_path / "vfs-containers/containers.json").write_text(json.dumps([entry]))
    if manifest is not None:
        image = tmp_path / "vfs-images/i"
        image.mkdir(parents=True)
        (image / "manifest").write_text(json.dumps(manifest))
    return place


ASKS = {"ksmrun.layout": "shared", "ksmrun.layout-group": "no-such-group"}
IMAGES: dict[str, tuple[Any, bool]] = {
    "a root without an image": (None, True),
    "an image without any": ({}, True),
    "one with others": ({"annotations": {"a": "b", "ksmrun.layout": "random"}}, True),
    "one that carries it": ({"annotations": ASKS}, False),
    "no object": ({"annotations": ["x"]}, True),
}


@pytest.mark.parametrize("name", [*IMAGES, "no storage", "damaged", "a pipe"])
def test_annotations_of_podman_s_images(
    start: Start, bundle: Path, tmp_path: Path, name: str
) -> None:
    """Annotations that are, or may be, the image's do not count as its starter's."""
    file = bundle / "config.json"
    config = json.loads(file.read_text())
    config["annotations"] = {"io.container.manager": "libpod", **ASKS}
    file.write_text(json.dumps(config))
    manifest, is_believed = IMAGES.get(name, ({}, False))
    place = store(tmp_path, bundle, manifest)
    if name == "no storage":
        (tmp_path / "vfs-containers/containers.json").unlink()
    elif name == "damaged":
        (tmp_path / "vfs-images/i/manifest").write_text("{")
    elif name == "a pipe":
        (tmp_path / "vfs-images/i/manifest").unlink()
        os.mkfifo(tmp_path / "vfs-images/i/manifest")
    done = start("run", "-b", str(place), "id", timeout=20)
    assert done.returncode == 42
    # It is asked for, and there is no key.
    assert ("group no-such-group has no key" in done.stderr) is is_believed
    assert ("counts as the image's own" in done.stderr) is (name not in IMAGES)
    assert ("layout=shared is ignored" in done.stderr) is (name == "one that carries it")
    assert wrapped(place)


def test_groups_for_an_image_s_name(start: Start, bundle: Path, tmp_path: Path) -> None:
    file, host = bundle / "config.json", tmp_path / "oci.json"
    config = json.loads(file.read_text())
    config["annotations"] = {"io.container.manager": "libpod", **ASKS}
    file.write_text(json.dumps(config))
    place = store(tmp_path, bundle, {})
    names = [{"id": "other", "names": ["r/y:1"]}, {"id": "i", "names": ["r/x:1", "r/x:2"]}]
    (tmp_path / "vfs-images/images.json").write_text(json.dumps(names))
    for pattern, is_open in (("r/x:2", True), ("r/x:*", True), ("r/y:1", False), ("*/z*", False)):
        host.write_text(json.dumps({"groups": {"no-such-group": {"images": [pattern]}}}))
        done = start(f"--ksmrun-config={host}", "run", "-b", str(place), "id")
        assert ("group no-such-group has no key" in done.stderr) is is_open, pattern
        assert ("is not open for this container" in done.stderr) is not is_open


def patch_machine(launcher: Path) -> None:
    """Change the machine in an ELF header (elf(5)) to aarch64's number."""
    data = bytearray(launcher.read_bytes())
    data[18:20] = (183).to_bytes(2, "little")
    launcher.write_bytes(data)


def chmod(launcher: Path) -> None:
    launcher.chmod(0o700)


@pytest.mark.parametrize(
    ("damage", "why"),
    [(Path.unlink, "No such file"), (chmod, "chmod 755"), (patch_machine, "not for this machine")],
)
def test_launchers_that_cannot_be_had(
    start: Start, bundle: Path, tmp_path: Path, oci: Path, damage: Callable[[Path], None], why: str
) -> None:
    place, log = tmp_path / "libexec", tmp_path / "log"
    shutil.copytree(oci.parent, place, symlinks=True)
    damage(place / "ksmrun-exec")
    words = ["--log", str(log), "--log-format=json", "run", "-b", str(bundle), "id"]
    assert_passed_through(start(*words, program=place / "ksmrun-oci"), log, why)
    assert not wrapped(bundle)


@pytest.mark.usefixtures("start")
def test_a_launcher_on_a_file_system_without_exec(bundle: Path, tmp_path: Path, oci: Path) -> None:
    """In the container it could not be executed either."""
    place, log = tmp_path / "libexec", tmp_path / "log"
    shutil.copytree(oci.parent, place, symlinks=True)
    launcher = place / "ksmrun-exec"
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,noexec "$1" && shift && exec "$@"'
    words = ["--log", str(log), "--log-format=json", "run", "-b", str(bundle), "id"]
    done = run("unshare", "-m", "sh", "-c", script, "x", launcher, place / "ksmrun-oci", *words)
    assert_passed_through(done, log, "noexec")


@pytest.mark.parametrize("log_format", ["text", "json", None])
def test_lines_of_the_log(start: Start, bundle: Path, log_format: str | None) -> None:
    (bundle / "config.json").write_text("{")
    words = ["--log-format", log_format] if log_format else []
    done = start(*words, "run", "-b", str(bundle), "id")
    line, err = done.stderr.splitlines()
    assert err == "err"
    assert ("level=warning msg=" in line) is (log_format != "json")
    # A log that cannot be written is no reason to fail.
    done = start("--log", "/no/such/folder/log", "run", "-b", str(bundle), "id")
    assert done.returncode == 42
    assert "not JSON" in done.stderr
    done = start("--log", "/dev/full", "run", "-b", str(bundle), "id")
    assert done.returncode == 42


def test_what_is_asked_in_other_words_is_said(start: Start, bundle: Path) -> None:
    file = bundle / "config.json"
    config = json.loads(file.read_text())
    config["annotations"] = {"ksmrun.merg": "on"}
    file.write_text(json.dumps(config))
    done = start("--ksmrun-by-request", "run", "-b", str(bundle), "id")
    assert done.returncode == 42
    assert done.stderr.count("merg=on is not valid") == 1
    assert not wrapped(bundle)


def test_no_runtime_but_itself(oci: Path, start: Start) -> None:
    for runtime in (oci, oci.with_name("ksmrun-oci-by-request"), "/no/such", "/etc/passwd"):
        done = start(f"--ksmrun-runtime={runtime}", "--version", timeout=LAST_RESORT_SECONDS)
        assert done.returncode == 125
        assert "no runtime" in done.stderr
    done = run("env", "-u", "KSMRUN_OCI_RUNTIME", oci, "--version")
    assert done.stdout == run("/usr/sbin/runc", "--version").stdout


@pytest.mark.usefixtures("start")
def test_nothing_of_it_stays(oci: Path, bundle: Path, tmp_path: Path) -> None:
    """The runtime is executed in place, with what it would have without ksmrun-oci."""
    recorder = tmp_path / "recorder"
    recorder.write_text("#!/bin/sh\nls /proc/$$/fd; echo $$; grep Sig[^Q] /proc/self/status\n")
    texts = []
    for program in (oci, recorder):
        words = ["sh", "-c", 'echo $$; exec "$@"', "x", str(program), "run", "-b", str(bundle)]
        done = run(*words, pass_fds=(0, 1, 2))
        pid, *rest = done.stdout.splitlines()
        texts.append([line for line in rest if line != pid])
        assert len(texts[-1]) == len(rest) - 1, "not in place"
    assert texts[0] == texts[1]
    assert wrapped(bundle)
