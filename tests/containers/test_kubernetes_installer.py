"""The installer of examples/kubernetes changes a real containerd's configuration, or undoes it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from waiting import LAST_RESORT_SECONDS

INSTALLER = Path(__file__).parents[2] / "examples/kubernetes/node"
# Its own init, which nsenter finds as the host's.
INIT = """
set -eu
mount -t proc proc /proc
mkdir -p /etc/containerd /usr/local/libexec
mount --bind "$1/etc" /etc/containerd
mount -t tmpfs -o mode=755 tmpfs /usr/local/libexec
mount -t tmpfs -o mode=755 tmpfs /run
"$1/restart"
code=0
"$2" -c "$3" || code=$?
kill "$(cat "$1/pid")"
exit "$code"
"""
RESTART = """#!/bin/sh
echo restarted >>"$F/restarts"
if [ -e "$F/pid" ]; then
    kill "$(cat "$F/pid")"
    while kill -0 "$(cat "$F/pid")" 2>/dev/null; do sleep 0.1; done
fi
containerd --root "$F/root" --state "$F/state" --address "$F/s" >>"$F/log" 2>&1 &
echo $! >"$F/pid"
"""
DEBIAN = """version = 2
[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
      conf_dir = "/etc/cni/net.d"
"""
BEGIN = """
import os, pathlib, sys
sys.path.insert(0, {folder!r})
import installer
installer.REFUSED = pathlib.Path(os.environ["F"], "refused.json")
installer.UP_SECONDS = {seconds}
engine = installer.find_engine()
old = engine.file.read_text()
assert engine.name == "containerd" and engine.wait()
"""

REMOVE = """
import os, subprocess
place, labels = os.environ["F"], []
installer.BUNDLES = (f"{place}/state/io.containerd.runtime.v2.task/k8s.io/*/config.json",)
installer.label = lambda node, value: labels.append(value)
installer.run("ksmrun", "wrap", "install")
installer.change(engine, installer.with_runtime(engine, old))
ctr = ["ctr", f"--address={place}/s", "--namespace=k8s.io"]
runtime = f"--runc-binary={installer.LIBEXEC}/ksmrun-oci"
options = ["--detach", "--cgroup=/CGROUP", runtime, "--rootfs"]
program = [f"{place}/box", "web", "/bin/busybox", "sleep", "9999"]
subprocess.run([*ctr, "run", *options, *program], check=True)
before = engine.file.read_text()
try:
    installer.remove("node")
except installer.Failed as error:
    assert "1 containers of node" in str(error), error
else:
    raise AssertionError("no failure")
assert engine.file.read_text() == before and os.listdir(installer.LIBEXEC)
subprocess.run([*ctr, "tasks", "kill", "--signal=KILL", "web"], check=True)
subprocess.run([*ctr, "tasks", "delete", "--force", "web"], check=False)
subprocess.run([*ctr, "containers", "delete", "web"], check=True)
installer.remove("node")
assert engine.file.read_text() == old and not os.path.exists(installer.LIBEXEC)
assert installer.containerd_is_up() and set(labels) == {None}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/config.toml").write_text(DEBIAN)
    (tmp_path / "restart").write_text(RESTART)
    (tmp_path / "restart").chmod(0o755)
    return tmp_path


def installed(folder: Path, script: str, *, seconds: float = LAST_RESORT_SECONDS) -> int:
    """Run a script beside a containerd; return how often that was restarted by it."""
    text = BEGIN.format(folder=str(INSTALLER), seconds=seconds) + script
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "F": str(folder),
        "HOST_ETC": "/etc",
        "ENGINE_RESTART": str(folder / "restart"),
        "CONTAINERD_ADDRESS": str(folder / "s"),
    }
    apart = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child=KILL"]
    done = subprocess.run(
        [*apart, "sh", "-c", INIT, "init", folder, sys.executable, text],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr, (folder / "log").read_text()[-3000:])
    return len((folder / "restarts").read_text().splitlines()) - 1


def test_a_runtime_comes_and_goes(folder: Path) -> None:
    restarts = installed(
        folder,
        """
installer.run("ksmrun", "wrap", "install")
installer.change(engine, installer.with_runtime(engine, old))
dumped = installer.on_host("containerd", "config", "dump").stdout
assert set(installer.runtimes(dumped)) == {"runc", "ksmrun", "ksmrun-by-request"}
assert installer.containerd_is_up()
installer.change(engine, installer.without_runtime(engine, engine.file.read_text()))
assert installer.containerd_is_up()
""",
    )
    assert restarts == 2
    assert (folder / "etc/config.toml").read_text() == DEBIAN
    assert [each.name for each in (folder / "etc").iterdir()] == ["config.toml"]


def test_removal_leaves_nothing(folder: Path) -> None:
    """But not while a container needs the runtime, as that could not be stopped without it."""
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
        (folder / "box" / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", folder / "box/bin/busybox")
    cgroup = f"ksmrun-test-{uuid.uuid4().hex}"
    try:
        restarts = installed(folder, REMOVE.replace("CGROUP", cgroup))
    finally:
        for left in Path("/sys/fs/cgroup").glob(f"*/{cgroup}"):
            left.rmdir()
    assert restarts == 2
    assert [each.name for each in (folder / "etc").iterdir()] == ["config.toml"]


def test_one_with_which_cri_does_not_load_is_put_back(folder: Path) -> None:
    """containerd itself comes up, without CRI, where its default runtime does not exist."""
    restarts = installed(
        folder,
        """
table = '[plugins."io.containerd.grpc.v1.cri".containerd]'
# The second time the engine is not restarted.
for end in ("it is up again", "to try again, delete this pod"):
    try:
        installer.change(engine, f'{old}{table}\\ndefault_runtime_name = "none"\\n')
    except installer.Failed as error:
        assert "put back" in str(error) and str(error).endswith(end), error
    else:
        raise AssertionError("no failure")
assert installer.containerd_is_up()
""",
        seconds=10,
    )
    assert restarts == 2 and (folder / "etc/config.toml").read_text() == DEBIAN


def test_one_that_containerd_does_not_read(folder: Path) -> None:
    restarts = installed(
        folder,
        """
# A syntax error; and one of the type.
for new in (old + "[", old + "[grpc]\\naddress = 1\\n"):
    try:
        installer.change(engine, new)
    except installer.Failed as error:
        assert "config dump failed" in str(error), error
    else:
        raise AssertionError("no failure")
assert installer.containerd_is_up()
""",
    )
    assert restarts == 0 and (folder / "etc/config.toml").read_text() == DEBIAN
    assert [each.name for each in (folder / "etc").iterdir()] == ["config.toml"]
