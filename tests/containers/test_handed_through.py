"""ksmrun-oci passes everything else on; the only fake is a runtime that records its input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting import LAST_RESORT_SECONDS

from .conftest import run
from .recorder import RECORDER, Start, assert_passed_through, bundle, record, start, wrapped

__all__ = ["bundle", "record", "start"]

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
