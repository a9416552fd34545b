"""The collection of examples/ansible, run by the real Ansible on three booted guests."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from compiled import cache_folder

from tests.systemd.boot import Guest, hierarchies
from tests.systemd.roots import build, built, roots

COLLECTION = Path(__file__).parents[2] / "examples/ansible"
PINNED = ("ansible-core==2.19.14", "ansible-lint==26.10.1")
NAMES = ("one", "two", "three")
# What Ansible calls as ssh: its last word is the command for the host. No network, no sshd.
SSH = """#!/bin/sh
for word; do :; done
echo 0 >"$SCOPE"
exec nsenter --target="$LEADER" --mount --uts --ipc --net --pid --cgroup --root \\
    --wd=/proc/$LEADER/root env -i HOME=/root LC_ALL=C.UTF-8 \\
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    sh -c "$word"
"""
SERVICE = "[Service]\nExecStart=/bin/sleep infinity\n"


@dataclass(frozen=True)
class Control:
    """Ansible on this host, and the guests that it manages."""

    folder: Path
    tools: Path
    guests: dict[str, Guest]

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "ANSIBLE_NOCOLOR": "1",
        }
        return subprocess.run(
            [str(self.tools / words[0]), *map(str, words[1:])],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def play(self, name: str, *options: str, **variables: Any) -> dict[str, dict[str, int]]:
        """Run a playbook of the collection; return each host's counts."""
        words = ("ansible-playbook", "-i", "hosts", f"ksmrun.fleet.{name}", *options)
        done = self.run(*words, "-e", json.dumps({"ksmrun_units": ["game.service"], **variables}))
        text = done.stdout.rpartition("PLAY RECAP")[2]
        assert text, (done.stdout, done.stderr)
        found = {}
        for line in text.splitlines()[1:]:
            host, _, counts = line.partition(":")
            pairs = (word.split("=") for word in counts.split())
            found[host.strip()] = {name: int(count) for name, count in pairs}
        (self.folder / "said").write_text(done.stdout + done.stderr)
        found.pop("", None)
        return found

    @property
    def said(self) -> str:
        return (self.folder / "said").read_text()


@pytest.fixture(scope="module")
def tools() -> Path:
    """Return the folder of Ansible's commands, which are not packages of Debian 12."""
    kept = cache_folder() / "ansible" / "-".join(PINNED).replace("==", "-")
    if not (kept / "done").exists():
        venv.create(kept, with_pip=True, clear=True)
        subprocess.run([kept / "bin/pip", "install", "-q", *PINNED], check=True)
        (kept / "done").touch()
    return kept / "bin"


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory, tools: Path) -> Iterator[Control]:
    folder = tmp_path_factory.mktemp("ansible")
    root = roots(everything=False)[252]
    build([root])
    guests = {name: Guest(252, built(root), folder / name) for name in NAMES}
    control = Control(folder, tools, guests)
    lines = []
    try:
        for name, guest in guests.items():
            (guest.folder / "upper/etc/systemd/system").mkdir(parents=True)
            (guest.folder / "upper/etc/systemd/system/game.service").write_text(SERVICE)
            guest.boot()
            guest.run("systemctl", "start", "game")
            scope = hierarchies()[-1] / guest.name / "payload/init.scope/cgroup.procs"
            ssh = SSH.replace("$SCOPE", str(scope)).replace("$LEADER", str(guest.leader))
            (folder / f"ssh-{name}").write_text(ssh)
            (folder / f"ssh-{name}").chmod(0o755)
            lines.append(f"{name} ansible_ssh_executable={folder}/ssh-{name}")
        # It is root there already, and the guests have no sudo.
        common = "ansible_become=false ansible_ssh_transfer_method=piped"
        common += " ansible_python_interpreter=/usr/bin/python3"
        (folder / "hosts").write_text("\n".join(f"{line} {common}" for line in lines) + "\n")
        built_here = ("ansible-galaxy", "collection", "build", COLLECTION, "--output-path", folder)
        done = control.run(*built_here)
        assert done.returncode == 0, done.stderr
        archive = next(folder.glob("ksmrun-fleet-*.tar.gz"))
        done = control.run("ansible-galaxy", "collection", "install", "--offline", archive)
        assert done.returncode == 0, done.stderr
        yield control
    finally:
        for guest in guests.values():
            guest.kill()


@pytest.fixture(autouse=True)
def removed(control: Control) -> Iterator[None]:
    yield
    control.play("remove")


def merges(guest: Guest) -> bool:
    (pid,) = guest.pids("game.service")
    return "ksm_merge_any: yes" in Path(f"/proc/{pid}/ksm_stat").read_text()


def state(guest: Guest) -> str:
    """Return all that the roles could leave behind."""
    listing = "find /etc/systemd /usr/local/libexec -printf '%p %l\\n' 2>/dev/null | sort"
    return guest.run("sh", "-c", f"{listing}; systemctl show game -p ExecStart").stdout


def test_lint(control: Control) -> None:
    done = control.run("ansible-lint", "--offline", "--strict", COLLECTION)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_roll_out_and_back(control: Control) -> None:
    first, *_ = control.guests.values()
    before = state(first).split("ExecStart=")[0]
    for host, told in control.play("rollout", "--check").items():
        assert told["failed"] == 0, control.said
        assert told["changed"] > 0, host
    assert state(first).startswith(before)
    assert not merges(first)

    counts = control.play("rollout", host_monitor=True)
    assert set(counts) == set(NAMES)
    assert all(each["failed"] == 0 and each["changed"] > 0 for each in counts.values()), (
        control.said
    )
    assert all(merges(guest) for guest in control.guests.values())

    again = control.play("rollout", host_monitor=True)
    assert all(each["changed"] == 0 and each["failed"] == 0 for each in again.values()), (
        control.said
    )

    undone = control.play("remove")
    assert all(each["failed"] == 0 and each["changed"] > 0 for each in undone.values()), (
        control.said
    )
    assert state(first).split("ExecStart=")[0] == before
    assert not merges(first)
    assert all(each["changed"] == 0 for each in control.play("remove").values()), control.said


@pytest.mark.parametrize("verdict", [1, 3])
def test_a_canary_without_a_go_stops_the_roll_out(control: Control, verdict: int) -> None:
    canary, *others = control.guests.values()
    fake = canary.folder / "upper/usr/local/bin/ksmrun"
    kept = fake.read_text()
    # Results of an experiment that takes minutes; the verdict is what counts here.
    canary.run(
        "sh", "-c", f"sed -i '2i [ \"$1\" != report ] || exit {verdict}' /usr/local/bin/ksmrun"
    )
    try:
        counts = control.play("rollout", fleet_gates=["pss<=-20%"], fleet_results=["/results"])
    finally:
        canary.run("sh", "-c", "cat >/usr/local/bin/ksmrun", text=kept)
    assert counts["one"]["failed"] == 1, control.said
    assert set(counts) == {"one"}
    assert not any(merges(guest) for guest in others)


def test_an_empty_folder_is_no_go(control: Control) -> None:
    counts = control.play("rollout", fleet_gates=["pss<=-20%"], fleet_results=["/var/empty"])
    assert set(counts) == {"one"} and counts["one"]["failed"] == 1, control.said


def test_a_host_that_is_not_reached_stops_the_roll_out(control: Control) -> None:
    ssh = control.folder / "ssh-one"
    kept = ssh.read_text()
    ssh.write_text("#!/bin/sh\nexit 255\n")
    try:
        counts = control.play("rollout")
    finally:
        ssh.write_text(kept)
    assert counts["one"]["unreachable"] == 1
    assert set(counts) == {"one"}
