"""The collection of examples/ansible: the real Ansible, and three booted guests with sshd."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from compiled import cache_folder

from ksmrun.host.temporary_tunables import borrowed
from tests.systemd.boot import Guest
from tests.systemd.roots import BASE, Root, build, built

KSMRUN = Path(sys.executable).with_name("ksmrun")
COLLECTION = Path(__file__).parents[2] / "examples/ansible"
PINNED = ("ansible-core==2.19.14", "ansible-lint==26.10.1")
NAMES = ("one", "two", "three")
# A guest has no network but its own loopback, so that Ansible's ssh has to be in it.
SSH = """#!/bin/sh
exec nsenter --target=$LEADER --net ssh "$@"
"""
SSH_OPTIONS = (
    "-o HostName=127.0.0.1 -o IdentitiesOnly=yes -o StrictHostKeyChecking=no"
    " -o UserKnownHostsFile=/dev/null"
)
# Whom Ansible logs in as, and becomes root from.
USER = """
useradd --create-home --shell /bin/sh deploy
echo 'deploy ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/deploy
install -d -o deploy -m 700 ~deploy/.ssh
cat >~deploy/.ssh/authorized_keys
"""
SERVICE = "[Service]\nExecStart=/bin/sleep infinity\n"
# A program whose copies are equal.
COPY = "import time; block = bytearray(b'x' * (16 << 20)); time.sleep(999)"


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
    root = Root(252, "bookworm", "bookworm", (*BASE, "openssh-server", "sudo", "libstdc++6"))
    build([root])
    guests = {name: Guest(252, built(root), folder / name) for name in NAMES}
    control = Control(folder, tools, guests)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True
    )
    lines = []
    try:
        for name, guest in guests.items():
            (guest.folder / "upper/etc/systemd/system").mkdir(parents=True)
            (guest.folder / "upper/etc/systemd/system/game.service").write_text(SERVICE)
            guest.boot()
            guest.run("systemctl", "start", "game", "ssh")
            guest.run("sh", "-euc", USER, text=(folder / "key.pub").read_text())
            (folder / f"ssh-{name}").write_text(SSH.replace("$LEADER", str(guest.leader)))
            (folder / f"ssh-{name}").chmod(0o755)
            lines.append(f"{name} ansible_ssh_executable={folder}/ssh-{name}")
        # Not as ansible_host, by which Ansible would take the connections of all three for one.
        common = "ansible_user=deploy ansible_ssh_transfer_method=piped"
        common += f" ansible_ssh_private_key_file={folder}/key"
        common += f" ansible_ssh_common_args='{SSH_OPTIONS}'"
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


@pytest.fixture(scope="module")
def results(control: Control, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Run three experiments, as one is not enough; return their folders on the canary.

    They run beside it, as a guest cannot set the KSM of its host, which is its own.
    """
    canary, *_ = control.guests.values()
    measured = ["-n", "2", "--rounds", "2", "--ready-after", "0.5", "--hold", "1"]
    measured += ["--stagger", "0", "--settle-max", "60"]
    fast = {"run": "1", "sleep_millisecs": "0", "pages_to_scan": "100000"}
    with borrowed(fast, tmp_path_factory.mktemp("ksm")):
        for number in "123":
            output = f"--output={canary.shared / number}"
            command = [str(KSMRUN), "ab", *measured, output, "--", sys.executable, "-c", COPY]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
    return [f"/shared/{number}" for number in "123"]


# Number of experiments that count, the limit, and the verdict.
VERDICTS = {
    "go": (3, "pss<=-10%", 0),
    "stop": (3, "pss<=-99%", 1),
    "not sure": (1, "pss<=-10%", 3),
}


@pytest.mark.host_ksm
@pytest.mark.parametrize("name", VERDICTS)
def test_the_verdict_of_a_canary_decides(control: Control, results: list[str], name: str) -> None:
    canary, *others = control.guests.values()
    number, gate, verdict = VERDICTS[name]
    folders = results[:number]
    said = canary.run("ksmrun", "report", *folders, "--gate", gate, check=False)
    assert said.returncode == verdict, said.stdout
    counts = control.play("rollout", fleet_gates=[gate], fleet_results=folders)
    goes_on = verdict == 0
    assert counts["one"]["failed"] == (not goes_on), control.said
    assert set(counts) == (set(NAMES) if goes_on else {"one"})
    assert [merges(guest) for guest in others] == [goes_on, goes_on]


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
