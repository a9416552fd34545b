"""Recipes of examples/, run as their users run them."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import kubernetes_validate
import psutil
import pytest
import yaml
from waiting import LAST_RESORT_SECONDS, wait_until

from .engines import Engine, Place, merges, place, podman, remove_pods, root

__all__ = ["place", "podman", "root"]

EXAMPLES = Path(__file__).parents[2] / "examples"
FIRST_PORT = 31701
# LinuxGSM's settings of each game, as far as they matter here; instance.cfg is read after them.
DEFAULTS = """
preexecutable="nice -n 1"
executable="/usr/games/openttd"
startparameters="-D 127.0.0.1:{port} -G 42 -g"
"""
# How it starts a server: one line for tmux.
START = """
. ./_default.cfg
. "$1"
exec tmux -L ksmrun-test new-session -d -x 80 -y 23 -s ksmrun-test \
    "${preexecutable} ${executable} ${startparameters}"
"""
# How Pterodactyl's images start the panel's command: {{NAME}} stands for a variable.
ENTRYPOINTS = {
    "env": "cd /home/container; S=$(echo \"$STARTUP\" | sed 's/{{/${/g; s/}}/}/g'); "
    'S=$(eval echo "\\"$S\\""); exec env $S',
    "eval": 'cd /home/container; S=$(echo "$STARTUP" | sed \'s/{{/${/g; s/}}/}/g\'); eval "$S"',
}


def listens(port: int) -> bool:
    return any(
        each.laddr and each.laddr[1] == port and each.status == psutil.CONN_LISTEN
        for each in psutil.net_connections("tcp4")
    )


@pytest.fixture
def tmux(place: Place) -> Iterator[tuple[str, ...]]:
    """Return a command line of tmux with its own server."""
    command = ("tmux", "-L", "ksmrun-test")
    yield command
    place.try_run(*command, "kill-server")


def test_linuxgsm(place: Place, tmux: tuple[str, ...], tmp_path: Path) -> None:
    """The server merges, stays a child of what it was started by, and hears its console."""
    (tmp_path / "_default.cfg").write_text(DEFAULTS.format(port=FIRST_PORT + 9))
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "TERM": "xterm"}
    config = EXAMPLES / "linuxgsm/instance.cfg"
    place.run("sh", "-c", START, "start", config, cwd=tmp_path, environment=home)
    pane = int(place.run(*tmux, "list-panes", "-F", "#{pane_pid}"))

    def server() -> psutil.Process | None:
        first = psutil.Process(pane)
        found = [each for each in (first, *first.children(True)) if each.name() == "openttd"]
        return found[0] if found else None

    wait_until(lambda: server() is not None)
    process = server()
    assert process is not None
    assert merges(process.pid) and process.nice() == 1
    wait_until(lambda: listens(FIRST_PORT + 9))
    place.run(*tmux, "send-keys", "-t", "ksmrun-test", "quit", "ENTER")
    process.wait(timeout=LAST_RESORT_SECONDS)


def _said(podman: Engine, container: str) -> str:
    return podman.place.try_run("podman", "logs", container).stderr


@pytest.mark.parametrize("way", ["env", pytest.param("eval", marks=pytest.mark.long_run)])
def test_pterodactyl(podman: Engine, root: Path, tmp_path: Path, way: str) -> None:
    egg = json.loads((EXAMPLES / "pterodactyl/egg-openttd.json").read_text())
    (variable,) = egg["variables"]
    environment = {
        "STARTUP": egg["startup"],
        "SERVER_PORT": str(FIRST_PORT + 8),
        variable["env_variable"]: variable["default_value"],
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/games",
    }
    volumes = ["/usr:/usr:ro", "/lib:/lib:ro", "/lib64:/lib64:ro", f"{tmp_path}:/home/container"]
    volumes.append("/usr/local/libexec/ksmrun:/usr/local/libexec/ksmrun:ro")
    tmp_path.chmod(0o777)
    words = ["--detach", "--interactive", "--user", "1000", "--env", "HOME=/home/container"]
    words += [f"--env={name}={value}" for name, value in environment.items()]
    words += [f"--volume={volume}" for volume in volumes]
    command = ("/bin/sh", "-c", ENTRYPOINTS[way])
    podman.build("egg", "FROM scratch\nCOPY root/ /\n", {"root": root})
    container = podman("run", "--network", "none", *words, "egg", *command).strip()
    try:
        done = json.loads(egg["config"]["startup"])["done"]
        wait_until(lambda: done in _said(podman, container))
        first = psutil.Process(podman.pid(container))
        servers = [each for each in (first, *first.children(True)) if each.name() == "openttd"]
        assert len(servers) == 1 and merges(servers[0].pid)
        assert f"0.0.0.0:{FIRST_PORT + 8}" in servers[0].cmdline()
        assert merges(first.pid) is (way == "env")
    finally:
        podman("rm", "--force", "--time", "0", container)


@pytest.fixture(scope="module")
def web(podman: Engine, root: Path) -> None:
    """Build the image of the examples: a web server, with its port as the CMD."""
    command = f'ENTRYPOINT ["busybox", "httpd", "-f"]\nCMD ["-p", "127.0.0.1:{FIRST_PORT}"]\n'
    podman.build("example/web", f"FROM scratch\nCOPY root/ /\n{command}", {"root": root})


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/etc/passwd", timeout=LAST_RESORT_SECONDS
        ) as answer:
            return b"root:" in answer.read()
    except OSError:
        return False


def servers(port: int) -> list[psutil.Process]:
    """Return the web servers of that port, without what they forked to answer a request."""
    words = f"127.0.0.1:{port}"
    everyone = psutil.process_iter(["cmdline", "ppid"])
    found = {each.pid: each for each in everyone if words in (each.info["cmdline"] or ())}
    return [each for each in found.values() if each.info["ppid"] not in found]


@pytest.mark.usefixtures("web")
def test_compose(podman: Engine) -> None:
    folder, tool = EXAMPLES / "compose", Path(sys.executable).with_name("podman-compose")
    shown = podman.place.ksmrun(
        *("wrap", "compose", "--engine", "podman", "compose.yaml"), cwd=folder
    )
    assert shown == (folder / "compose.ksmrun.yaml").read_text()
    compose = (tool, "-f", "compose.yaml", "-f", "compose.ksmrun.yaml")
    podman.place.run(*compose, "up", "-d", cwd=folder)
    try:
        for port in (FIRST_PORT, FIRST_PORT + 1):
            wait_until(partial(answers, port))
            assert [merges(each.pid) for each in servers(port)] == [True]
    finally:
        podman.place.run(*compose, "down", "-t", "0", cwd=folder)


@pytest.mark.usefixtures("web")
def test_kubernetes(podman: Engine) -> None:
    folder, port = EXAMPLES / "kubernetes", FIRST_PORT + 2
    file = folder / "web.ksmrun.yaml"
    command = ("wrap", "pod", "--engine", "podman", "--from", "host", "web.yaml")
    assert podman.place.ksmrun(*command, cwd=folder) == file.read_text()
    kubernetes_validate.validate(yaml.safe_load(file.read_text()), "1.30", strict=True)
    podman("kube", "play", file)
    try:
        wait_until(lambda: answers(port))
        assert [merges(each.pid) for each in servers(port)] == [True]
    finally:
        remove_pods(podman)
