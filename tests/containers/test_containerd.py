"""containerd with ksmrun-oci as the binary of its runc shim."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import wait_until

from ksmrun.model.container import RuntimeEngine as Engine

from .conftest import Done, daemon, find_process, merges, printed, run, seen_by_ps

# The configuration in Debian's package.
CRI = 'plugins."io.containerd.grpc.v1.cri"'
DEBIAN = f"""version = 2
[plugins]
  [{CRI}]
    [{CRI}.cni]
      bin_dir = "/usr/lib/cni"
      conf_dir = "/etc/cni/net.d"
"""
LOOK = ("grep", "any", "/proc/self/ksm_stat")


class Ctr:
    """containerd's own client, with an image that has a shell."""

    image = "localhost/box:latest"

    def __init__(self, socket: Path, oci: Path) -> None:
        self.words, self.oci = ["ctr", "--address", str(socket)], oci
        self.names: list[str] = []

    def call(self, *words: str) -> Done:
        return run(*self.words, *words)

    def run(self, options: list[str], *command: str, program: Path | None = None) -> Done:
        binary = f"--runc-binary={program or self.oci}"
        name = f"ko{uuid.uuid4().hex[:8]}"
        self.names.append(name)
        words = ["run", "--snapshotter=native", binary, *options]
        return self.call(
            *words, *([] if "--detach" in options else ["--rm"]), self.image, name, *command
        )

    def run_until_shown(
        self, options: list[str], *command: str, program: Path | None = None
    ) -> Done:
        """Run it again if nothing is shown: ctr may end before it has copied the output."""
        for _ in range(5):
            done = self.run(options, *command, program=program)
            if done.stdout:
                break
        return done


@pytest.fixture(scope="module")
def ctr(folder: Path, oci: Path, root: Path) -> Iterator[Ctr]:
    place = folder / "c"
    place.mkdir()
    # containerd must understand the lines, though only Kubernetes starts containers by them.
    file = place / "config.toml"
    file.write_text(DEBIAN)
    lines = printed(Engine.CONTAINERD, oci, "--default", "--config", str(file))
    file.write_text(DEBIAN + lines)
    command: list[str | Path] = ["containerd", f"--config={place}/config.toml"]
    command += [f"--root={place}/root", f"--state={place}/state", f"--address={place}/s"]
    made = Ctr(place / "s", oci)
    with daemon(command, place / "log", lambda: made.call("version").returncode == 0):
        tar, image = place / "box.tar", place / "image.tar"
        subprocess.run(["tar", "-C", root, "-cf", tar, "bin", "etc", "tmp"], check=True)
        words = ["podman", f"--root={place}/pr", f"--runroot={place}/pp", "--storage-driver=vfs"]
        assert run(*words, "import", tar, made.image).returncode == 0
        assert run(*words, "save", "--format=oci-archive", "-o", image, made.image).returncode == 0
        done = made.call("images", "import", "--snapshotter=native", str(image))
        assert done.returncode == 0, done.stderr
        yield made
        for name in made.names:
            made.call("tasks", "kill", "--signal=KILL", name)
            made.call("tasks", "delete", "--force", name)
            made.call("containers", "delete", name)


def test_the_lines_are_understood(ctr: Ctr, folder: Path) -> None:
    """As containerd itself reads them."""
    done = run("containerd", f"--config={folder}/c/config.toml", "config", "dump")
    assert done.returncode == 0
    assert f'BinaryName = "{ctr.oci}-by-request"' in done.stdout
    assert 'default_runtime_name = "ksmrun-by-request"' in done.stdout
    assert done.stdout.count('pod_annotations = ["ksmrun.*"]') == 2
    assert ".runtimes.runc]" in done.stdout
    assert "invalid" not in (folder / "c/log").read_text()


def test_the_cri_plugin_is_loaded_with_the_lines(ctr: Ctr) -> None:
    """Without it the kubelet starts nothing: its runtimes must include the default one."""
    plugins = ctr.call("plugins", "ls").stdout.splitlines()
    assert [line.split()[-1] for line in plugins if "grpc.v1" in line and " cri " in line] == ["ok"]


@pytest.mark.parametrize("options", [[], ["--read-only"], ["--cwd=/tmp"], ["--privileged"]])
def test_same_output_and_exit_code(ctr: Ctr, options: list[str]) -> None:
    say = (
        "sh",
        "-c",
        "cat /proc/$$/cmdline; id; ls /; grep -E 'Cap|Sig[^Q]' /proc/self/status; exit 7",
    )
    bare = ctr.run_until_shown(options, *say, program=Path("/usr/sbin/runc"))
    done = ctr.run_until_shown(options, *say)
    assert bare.returncode == 7, bare.stderr
    assert (done.returncode, done.stdout) == (7, bare.stdout), done.stderr
    assert ctr.run(options, *LOOK).stdout == "ksm_merge_any: yes\n"


def test_from_outside(ctr: Ctr, seconds: str) -> None:
    assert ctr.run(["--detach"], "sleep", seconds + "1").returncode == 0
    assert merges(find_process(seconds + "1"))
    name = ctr.names[-1]
    done = ctr.call("tasks", "exec", "--exec-id=a", "--user=1000", name, *LOOK)
    assert (done.returncode, done.stdout) == (0, "ksm_merge_any: yes\n"), done.stderr
    done = ctr.call("tasks", "exec", "--exec-id=b", "--detach", name, "sleep", seconds)
    assert done.returncode == 0
    assert merges(find_process(seconds))
    assert ctr.call("tasks", "exec", "--exec-id=c", name, "nothing").returncode == 127
    ctr.call("tasks", "kill", "--signal=KILL", name)
    wait_until(lambda: "STOPPED" in ctr.call("tasks", "list").stdout, "not stopped")


def test_annotations(ctr: Ctr) -> None:
    by_request = ctr.oci.with_name("ksmrun-oci-by-request")
    assert ctr.run([], *LOOK, program=by_request).stdout == "ksm_merge_any: no\n"
    on = ctr.run(["--annotation=ksmrun.merge=on"], *LOOK, program=by_request)
    assert on.stdout == "ksm_merge_any: yes\n"
    assert ctr.run(["--annotation=ksmrun.merge=off"], *LOOK).stdout == "ksm_merge_any: no\n"
    done = ctr.run(["--annotation=ksmrun.layout=shared", "--annotation=ksmrun.require=true",
                    "--annotation=ksmrun.layout-group=no-such-group"], "true")  # fmt: skip
    assert done.returncode != 0
    assert "ksmrun layout key no-such-group" in done.stderr


def test_ps_calls_it_by_its_name(ctr: Ctr, seconds: str) -> None:
    assert ctr.run(["--detach"], "sleep", seconds).returncode == 0
    pid = find_process(seconds)
    assert merges(pid)
    found = seen_by_ps(pid)
    assert (found["engine"], found["container"]) == ("containerd", ctr.names[-1])


def test_ps_calls_it_as_kubernetes_does(ctr: Ctr, seconds: str) -> None:
    """With the cgroup that kubelet gives it, and the annotations of containerd's CRI plugin."""
    container_id, pod = uuid.uuid4().hex * 2, str(uuid.uuid4())
    prefix = "--annotation=io.kubernetes.cri"
    options = [f"{prefix}.sandbox-name=web-0", f"{prefix}.sandbox-namespace=shop"]
    options += [f"{prefix}.container-name=app", "--detach", "--snapshotter=native"]
    options += [f"--cgroup=/kubepods/burstable/pod{pod}/{container_id}"]
    ctr.names.append(container_id)
    words = ("run", f"--runc-binary={ctr.oci}", *options, ctr.image, container_id)
    done = ctr.call(*words, "sleep", seconds)
    assert done.returncode == 0, done.stderr
    pid = find_process(seconds)
    assert merges(pid)
    found = seen_by_ps(pid)
    assert found["container"] == "shop/web-0/app"
    assert (found["engine"], found["container_id"]) == ("containerd", container_id)
    assert found["pod"] == pod
