"""ksmrun-oci in front of the real runc and crun."""

from __future__ import annotations

import copy
import json
import os
import pty
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from folders import let_all_in
from waiting import LAST_RESORT_SECONDS, wait_until

from .bundles import Config, Make, hardened, make, plain, with_user_namespace
from .conftest import PROGRAMS, find_process, merges, run, tree

__all__ = ["make"]


def test_first_process_and_all_forms_of_exec(make: Make, seconds: str, tmp_path: Path) -> None:
    bundle = make()
    first = bundle.start("sleep", seconds)
    assert merges(first)
    pid_file = tmp_path / "pid"

    def executed(*words: str | Path) -> int:
        bundle.detach("exec", "--detach", "--pid-file", pid_file, *words)
        return int(pid_file.read_text())

    for form in ([], ["--user", "1000:1000"], ["-e", "A=B", "--cwd", "/tmp"], ["-u1000"]):
        if form == ["-u1000"] and "crun" not in str(bundle.runtime):
            continue
        pid = executed(*form, bundle.name, "sleep", seconds)
        assert merges(pid), form
    process = {**bundle.config["process"], "args": ["sleep", seconds]}
    file = tmp_path / "process.json"
    for _ in range(2):
        file.write_text(json.dumps(process))
        file.chmod(0o440)
        pid = executed("--process", file, bundle.name)
        assert merges(pid)
        assert file.stat().st_mode & 0o777 == 0o440
        # The next round uses one that is wrapped already.
        process = json.loads(file.read_text())
        assert process["args"].count("--") == 1


def test_without_it_nothing_merges(make: Make, seconds: str) -> None:
    bundle = make(wrapped=False)
    assert not merges(bundle.start("sleep", seconds))
    wrapped = make(name="ksmrun-oci-by-request")
    assert not merges(wrapped.start("sleep", seconds))
    wrapped.detach("exec", "--detach", wrapped.name, "sleep", seconds + "1")
    assert not merges(find_process(seconds + "1"))


SAY = """
cat /proc/$$/cmdline; env; id; pwd; ls /; tty
grep -E 'Sig[^Q]|Cap|NoNew|Secc|Groups' /proc/self/status
exit 7
"""


def with_hooks(config: Config) -> None:
    hook = [{"path": "/bin/sh", "args": ["sh", "-c", "cat >/dev/null"]}]
    config["hooks"] = {"createRuntime": hook, "poststart": hook, "poststop": hook}


def with_tmpfs_only(config: Config) -> None:
    config["mounts"] = [{"destination": "/proc", "type": "proc", "source": "proc"}]
    config["mounts"].append({"destination": "/run", "type": "tmpfs", "source": "tmpfs"})


@pytest.mark.parametrize(
    "change", [plain, hardened, with_user_namespace, with_hooks, with_tmpfs_only]
)
def test_same_output_and_exit_code(
    make: Make, change: Callable[[Config], None], root: Path
) -> None:
    bare, wrapped = make(wrapped=False), make()
    for bundle in (bare, wrapped):
        change(bundle.config)
    plain_done = bare.run("sh", "-c", SAY)
    assert plain_done.returncode == 7, plain_done.stderr
    # The runtimes themselves make mount points if a root has none.
    before = tree(root)
    done = wrapped.run("sh", "-c", SAY)
    assert (done.returncode, done.stdout) == (7, plain_done.stdout), done.stderr
    inside = wrapped.run("grep", "ksm_merge_any", "/proc/1/ksm_stat")
    assert inside.stdout == "ksm_merge_any: yes\n"
    assert tree(root) == before


@pytest.mark.parametrize("program", ["hello_musl", "hello32"])
def test_other_libcs_and_machines(make: Make, program: str) -> None:
    done = make().run(f"/bin/{program}")
    assert (done.returncode, done.stdout) == (0, "hello\n")


def test_commands_that_cannot_run(make: Make) -> None:
    """runc and crun refuse these themselves; behind the launcher they end as in env(1)."""
    bundle = make()
    for command, code in (("nothing", 127), ("/bin/nothing", 127), ("/bin/unexecutable", 126)):
        done = bundle.run(command)
        assert done.returncode == code
        assert "cannot run" in done.stderr
    bundle.start("sleep", "300")
    assert bundle.call("exec", bundle.name, "nothing").returncode == 127


def test_first_process_keeps_its_signals(make: Make) -> None:
    bundle = make()
    bundle.start(
        "sh", "-c", "trap 'echo term; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    )
    output = bundle.path / "output"
    wait_until(lambda: "ready" in output.read_text(), "the trap was not set")
    bundle.call("kill", bundle.name, "TERM")
    wait_until(lambda: "term" in output.read_text(), "no signal")


def test_terminal(make: Make) -> None:
    bundle = make()
    bundle.config["process"]["terminal"] = True
    bundle.config["process"]["args"] = [
        "sh",
        "-c",
        "tty; stty size; grep any /proc/1/ksm_stat; exit 5",
    ]
    bundle.save()
    master, slave = pty.openpty()
    program = subprocess.Popen(
        [*bundle.runtime, "run", "--bundle", bundle.path, bundle.name],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    text = b""
    try:
        while chunk := os.read(master, 4096):
            text += chunk
    except OSError:
        pass
    os.close(master)
    assert program.wait(timeout=LAST_RESORT_SECONDS) == 5, text
    assert b"/dev/" in text and b"ksm_merge_any: yes" in text


def test_a_bundle_is_started_again(make: Make) -> None:
    """Started again by hand, a config.json is wrapped once, and unwrapped on request."""
    bundle = make()
    bundle.config["annotations"] = {"a": "b"}
    assert bundle.run("grep", "any", "/proc/1/ksm_stat").stdout == "ksm_merge_any: yes\n"
    once = bundle.saved()
    assert bundle.call("run", bundle.name).stdout == "ksm_merge_any: yes\n"
    assert bundle.saved() == once
    assert once["process"]["args"] == [
        "/dev/ksmrun/ksmrun-exec",
        "--",
        "grep",
        "any",
        "/proc/1/ksm_stat",
    ]
    mount = once["mounts"].pop()
    assert mount["destination"] == "/dev/ksmrun/ksmrun-exec"
    assert "ro" in mount["options"]
    original = copy.deepcopy(bundle.config)
    expected = {**once, "process": {**once["process"], "args": original["process"]["args"]}}
    assert expected == original
    # The order of names is kept too.
    assert json.dumps(expected) == json.dumps(original)
    off = bundle.saved()
    off["annotations"]["ksmrun.merge"] = "off"
    (bundle.path / "config.json").write_text(json.dumps(off))
    assert bundle.call("run", bundle.name).stdout == "ksm_merge_any: no\n"
    original["annotations"]["ksmrun.merge"] = "off"
    assert bundle.saved() == original


def test_asking_by_annotation_and_by_environment(make: Make) -> None:
    look = ("grep", "any", "/proc/1/ksm_stat")
    bundle = make(name="ksmrun-oci-by-request")
    assert bundle.run(*look).stdout == "ksm_merge_any: no\n"
    bundle.config["annotations"] = {"ksmrun.merge": "on"}
    assert bundle.run(*look).stdout == "ksm_merge_any: yes\n"
    bundle.config["annotations"] = {}
    # An image may have set it, so it counts only if the operator says so.
    bundle.config["process"]["env"].append("KSMRUN_OCI=merge=on")
    done = bundle.run(*look)
    assert done.stdout == "ksm_merge_any: no\n"
    assert "merge=on is ignored" in done.stderr
    root_words = bundle.runtime
    at = next(i for i, word in enumerate(root_words) if word.endswith("ksmrun-oci-by-request"))
    bundle.runtime = [*root_words[: at + 1], "--ksmrun-environment", *root_words[at + 1 :]]
    assert bundle.run(*look).stdout == "ksm_merge_any: yes\n"
    bundle.runtime = root_words
    file = bundle.path / "oci.json"
    file.write_text('{"environment": true}')
    option = f"--ksmrun-config={file}"
    bundle.runtime = [*root_words[: at + 1], option, *root_words[at + 1 :]]
    assert bundle.run(*look).stdout == "ksm_merge_any: yes\n"
    file.chmod(0o666)
    done = bundle.run(*look)
    assert done.stdout == "ksm_merge_any: no\n"
    assert "users other than root can change it" in done.stderr
    other = make()
    other.config["process"]["env"].append("KSMRUN_OCI=merge=off")
    assert other.run(*look).stdout == "ksm_merge_any: no\n"


def test_flags_for_runtimes(make: Make) -> None:
    bundle = make()
    bundle.config["annotations"] = {"ksmrun.runtime-flags": "shrink"}
    bundle.config["process"]["env"].append("JAVA_TOOL_OPTIONS=-ea")
    done = bundle.run("env")
    lines = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert lines["JAVA_TOOL_OPTIONS"].startswith("-XX:+IgnoreUnrecognizedVMOptions ")
    assert lines["JAVA_TOOL_OPTIONS"].endswith(" -ea")
    assert lines["MALLOC_ARENA_MAX"] == "1"
    bundle.config["annotations"] = {}
    assert "MALLOC_ARENA_MAX" not in bundle.run("env").stdout


def test_exec_may_ask_otherwise(make: Make, tmp_path: Path) -> None:
    bundle = make()
    bundle.start("sleep", "300")
    process = copy.deepcopy(bundle.config["process"])
    process["args"] = ["grep", "any", "/proc/self/ksm_stat"]
    process["env"].append("KSMRUN_OCI=merge=off")
    file = tmp_path / "process.json"
    file.write_text(json.dumps(process))
    assert bundle.call("exec", "--process", file, bundle.name).stdout == "ksm_merge_any: no\n"


LIBRARIES = {
    "glibc": ("gcc", ("/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6")),
    "musl": ("musl-gcc", ("/lib/ld-musl-x86_64.so.1",)),
}


@pytest.mark.parametrize("libc", LIBRARIES)
def test_the_shim_where_it_is_needed(make: Make, tmp_path: Path, libc: str) -> None:
    """As before Linux 6.17: in dynamically linked programs of any libc, and in executed ones."""
    compiler, files = LIBRARIES[libc]
    root = tmp_path / "root"
    for name in ("bin", "proc", "sys", "dev"):
        (root / name).mkdir(parents=True)
    for name in files:
        target = root / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, target)
    subprocess.run([compiler, PROGRAMS / "where.c", "-o", root / "bin/where"], check=True)
    before = tree(root)
    bundle = make()
    bundle.config["root"] = {"path": str(root), "readonly": True}
    bundle.config["annotations"] = {"ksmrun.mechanism": "preload"}
    first = bundle.start("where", "wait")
    wait_until(lambda: "argc" in (bundle.path / "output").read_text(), "no output")
    pid_file = tmp_path / "pid"
    bundle.detach("exec", "--detach", "--pid-file", pid_file, bundle.name, "where", "wait")
    wait_until(lambda: (bundle.path / "output").read_text().count("argc") == 2, "no output")
    for pid in (first, int(pid_file.read_text())):
        assert "libksmrun-preload.so" in Path(f"/proc/{pid}/maps").read_text()
        assert "ksm_merge_any: yes" in Path(f"/proc/{pid}/ksm_stat").read_text()
    assert "ERROR" not in (bundle.path / "output").read_text()
    # What does not load the shim merges with its secrets, and so not at all.
    secret = make()
    secret.config["root"] = {"path": str(root), "readonly": True}
    secret.config["annotations"] = {"ksmrun.exclude-secrets": "true"}
    pid = secret.start("where", "wait")
    wait_until(lambda: "argc" in (secret.path / "output").read_text(), "no output")
    assert "secrets" in Path(f"/proc/{pid}/environ").read_text()
    assert "ksm_merge_any: yes" in Path(f"/proc/{pid}/ksm_stat").read_text()
    static = make()
    static.config["annotations"] = {"ksmrun.exclude-secrets": "true"}
    assert "any: no" in static.run("grep", "any", "/proc/self/ksm_stat").stdout
    # Statically linked programs, and containers that do not need it, have no trace of it.
    other = make()
    assert "LD_PRELOAD" not in other.run("env").stdout
    assert len(other.saved()["mounts"]) == len(other.config["mounts"]) + 1
    assert tree(root) == before


def test_an_annotation_named_bundle(make: Make, seconds: str, tmp_path: Path) -> None:
    """runc keeps annotations among its labels, before its own."""
    bundle, other = make(), tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(json.dumps(bundle.config))
    bundle.config["annotations"] = {"bundle": str(other)}
    bundle.start("sleep", seconds + "1")
    bundle.detach("exec", "--detach", bundle.name, "sleep", seconds)
    assert merges(find_process(seconds))


def test_a_user_s_own_launcher_is_left(make: Make, oci: Path) -> None:
    """Mounted and named by hand, at the path that ours would have."""
    bundle = make()
    own = {
        "destination": "/dev/ksmrun/ksmrun-exec",
        "type": "bind",
        "source": str(oci.with_name("ksmrun-exec")),
        "options": ["bind", "ro"],
    }
    bundle.config["mounts"].append(own)
    command = ("/dev/ksmrun/ksmrun-exec", "--quiet", "--", "grep", "any", "/proc/1/ksm_stat")
    for _ in range(2):
        done = bundle.run(*command)
        assert done.stdout == "ksm_merge_any: yes\n"
        saved = bundle.saved()
        assert saved["process"]["args"] == list(command)
        assert own in saved["mounts"]
        bundle.config = saved


def test_the_host_s_dev_is_left_alone(make: Make, root: Path) -> None:
    bundle = make()
    before = tree(root)
    mounts = [
        mount for mount in bundle.config["mounts"] if not mount["destination"].startswith("/dev")
    ]
    mounts.append({"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"]})
    bundle.config["mounts"] = mounts
    done = bundle.run("sh", "-c", "grep any /proc/1/ksm_stat; exit 4")
    assert (done.returncode, done.stdout) == (4, "ksm_merge_any: no\n")
    assert done.stderr.count("leaves no trace") == 1
    assert not Path("/dev/ksmrun").exists()
    assert tree(root) == before


@pytest.mark.parametrize("option", ["rw", "ro"])
def test_a_mount_by_another_name_of_the_place(
    make: Make, root: Path, tmp_path: Path, option: str
) -> None:
    """As /var/run, a link in many images: a bind mount of the host's there hides the tmpfs."""
    bundle, folder = make(), tmp_path / "host"
    folder.mkdir()
    link = root / "var-run"
    link.symlink_to("run")
    try:
        with_tmpfs_only(bundle.config)
        options = {"source": str(folder), "options": ["bind", option]}
        bundle.config["mounts"].append({"destination": "/var-run", "type": "bind", **options})
        done = bundle.run("sh", "-c", "exit 4")
    finally:
        link.unlink()
    assert done.returncode == 4, done.stderr
    assert "leaves no trace" in done.stderr
    assert tree(folder) == []


def test_a_user_without_root(root: Path, oci: Path, tmp_path: Path) -> None:
    """runc in a user namespace of nobody's."""
    let_all_in(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env"]
    nobody += [f"HOME={home}", f"XDG_RUNTIME_DIR={home}"]
    run(*nobody, "runc", "spec", "--rootless", "--bundle", str(home))
    config = json.loads((home / "config.json").read_text())
    config["process"] |= {"terminal": False, "rlimits": []}
    config["process"]["args"] = ["sh", "-c", "grep any /proc/1/ksm_stat; id -u; exit 6"]
    config["root"]["path"] = str(root)
    (home / "config.json").write_text(json.dumps(config))
    os.chown(home / "config.json", 65534, 65534)
    done = run(
        *nobody, str(oci), "--ksmrun-runtime=/usr/sbin/runc", "run", "--bundle", str(home), "ko"
    )
    assert (done.returncode, done.stdout) == (6, "ksm_merge_any: yes\n0\n"), done.stderr
