"""Docker Swarm: one node whose default runtime lets services ask by their environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from waiting import wait_until

from ksmrun.model.container import RuntimeEngine as Engine

from .conftest import daemon, group_with_key, merges, printed, run, tree

# Swarm listens on an address, here of a network of its own; dockerd mounts that at a file, which
# goes with the mount namespace.
START = 'ip link set lo up && exec dockerd "$@"'
IMAGE = "box"
EXAMPLE = Path(__file__).parents[2] / "examples/swarm/stack.yaml"


class Swarm:
    """Client of the node's daemon. configuration: the operator's, read at each start."""

    def __init__(self, place: Path) -> None:
        self.words = ["/usr/bin/docker", "--host", f"unix://{place}/s"]
        self.configuration = place / "oci.json"

    def __call__(self, *words: str) -> str:
        done = run(*self.words, *words)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def allow(self, **configuration: object) -> None:
        self.configuration.write_text(json.dumps(configuration))

    def start(self, name: str, asks: str | None, replicas: int = 1) -> list[str]:
        """Start a service; return its containers."""
        options = [f"--name={name}", f"--replicas={replicas}", "--network=host", "--detach"]
        options += [
            "--no-resolve-image",
            "--stop-signal=KILL",
            *([f"--env=KSMRUN_OCI={asks}"] if asks else []),
        ]
        self("service", "create", *options, IMAGE, "sleep", "300")
        return self.containers(name, replicas)

    def containers(self, name: str, replicas: int) -> list[str]:
        of_it = f"--filter=label=com.docker.swarm.service.name={name}"
        wait_until(lambda: len(self("ps", "--quiet", of_it).split()) == replicas, name)
        return self("ps", "--quiet", of_it).split()

    def pid(self, container: str) -> int:
        return int(self("inspect", "--format={{.State.Pid}}", container))

    def merge(self, containers: list[str]) -> list[bool]:
        return [merges(self.pid(each)) for each in containers]


@pytest.fixture(scope="module")
def swarm(folder: Path, oci: Path, root: Path) -> Iterator[Swarm]:
    place = folder / "swarm"
    place.mkdir()
    made = Swarm(place)
    made.allow()
    settings = json.loads(printed(Engine.DOCKER, oci, "--default"))
    arguments = settings["runtimes"]["ksmrun-by-request"].setdefault("runtimeArgs", [])
    arguments.append(f"--ksmrun-config={made.configuration}")
    (place / "daemon.json").write_text(json.dumps(settings))
    command: list[str | Path] = ["unshare", "--net", "--mount", "sh", "-c", START, "start"]
    command += [f"--config-file={place}/daemon.json", f"--data-root={place}/data"]
    command += [f"--exec-root={place}/exec", f"--pidfile={place}/pid", f"--host=unix://{place}/s"]
    command += ["--storage-driver=vfs", "--bridge=none", "--iptables=false", "--ip6tables=false"]
    with daemon(command, place / "log", lambda: run(*made.words, "info").returncode == 0):
        run("tar", "-C", root, "-cf", place / "box.tar", "bin", "etc", "tmp")
        made("import", str(place / "box.tar"), IMAGE)
        made("swarm", "init", "--advertise-addr=127.0.0.1", "--listen-addr=127.0.0.1:2377")
        yield made
        made("swarm", "leave", "--force")
        # Its services' containers end with the node.
        wait_until(lambda: made("ps", "--quiet") == "", "containers are left")


def test_services_ask_and_the_operator_allows(swarm: Swarm, root: Path) -> None:
    before = tree(root)
    swarm.allow(environment=True)
    containers = swarm.start("web", "merge=on", replicas=2)
    assert swarm.merge(containers) == [True, True]
    # What is executed later merges as well.
    look = ("exec", containers[0], "grep", "any", "/proc/self/ksm_stat")
    assert swarm(*look) == "ksm_merge_any: yes\n"
    assert swarm.merge(swarm.start("plain", None)) == [False]
    swarm.allow()
    assert swarm.merge(swarm.start("forbidden", "merge=on")) == [False]
    assert tree(root) == before


def test_only_the_operator_gives_a_layout(swarm: Swarm) -> None:
    def places(container: str) -> list[str]:
        text = Path(f"/proc/{swarm.pid(container)}/maps").read_text()
        return [
            line.split()[0] for line in text.splitlines() if line.endswith(("[heap]", "[vdso]"))
        ]

    with group_with_key() as group:
        asks = f"layout=shared,layout-group={group}"
        swarm.allow(environment=True, groups={group: {}})
        # An environment may be an image's, whatever groups are open.
        first, second = swarm.start("asking", f"merge=on,{asks}", replicas=2)
        assert swarm.merge([first, second]) == [True, True]
        assert places(first) != places(second)
        assert swarm("exec", first, "ls", "/dev/ksmrun") == "ksmrun-exec\n"
        swarm.allow(environment=True, request=asks)
        first, second = swarm.start("given", "merge=on", replicas=2)
        assert swarm.merge([first, second]) == [True, True]
        assert places(first) == places(second)
        # What the operator asks for, all of the node's containers have.
        assert swarm.merge(swarm.start("unasked", None)) == [True]


def test_example(swarm: Swarm, tmp_path: Path) -> None:
    """But for the image and the network, which an overlay needs iptables for."""
    stack = yaml.safe_load(EXAMPLE.read_text())
    (service,) = stack["services"].values()
    replicas = service["deploy"]["replicas"] = 2
    service |= {
        "image": IMAGE,
        "command": ["sleep", "300"],
        "networks": ["host"],
        "stop_signal": "KILL",
    }
    stack["networks"] = {"host": {"external": True, "name": "host"}}
    file = tmp_path / "stack.yaml"
    file.write_text(yaml.safe_dump(stack))
    swarm.allow(environment=True)
    swarm("node", "update", "--label-add=copies=web", swarm("node", "ls", "--quiet").strip())
    swarm("stack", "deploy", f"--compose-file={file}", "--resolve-image=never", "shop")
    assert swarm.merge(swarm.containers("shop_web", replicas)) == [True, True]
