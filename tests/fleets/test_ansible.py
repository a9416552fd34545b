"""The collection of examples/ansible: the real Ansible, and three booted guests with sshd."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from compiled import cache_folder

from ksmrun.host.temporary_tunables import borrowed
from ksmrun.report.gate import EXIT_CODES, GO, STOP, UNSURE
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
# Copies of the first are equal; those of the second have nothing in common.
PROGRAMS = {
    "equal": "import time; block = bytearray(b'x' * (16 << 20)); time.sleep(999)",
    "different": "import os, time; block = bytearray(os.urandom(16 << 20)); time.sleep(999)",
}
# What changes in a guest without us: journal, Python's cache, what Ansible and sudo keep. What the
# kernel has answered to trials is kept until the next boot.
NOT_OURS = re.compile(
    r"/(var/log|var/cache/ksmrun-pyc|var/lib/(sudo|systemd|private)|var/tmp|tmp|home|root)(/|$)"
    r"|/etc/(machine-id|\.updated|ld\.so\.cache)$|/var/\.updated$|/run/ksmrun(/probe-[^/]*)?$"
)


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
        done = self.started(name, *options, **variables)
        (self.folder / "said").write_text(done.stdout + done.stderr)
        return self.counts(done)

    def started(
        self, name: str, *options: str, **variables: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the collection, perhaps beside another."""
        words = ("ansible-playbook", "-i", "hosts", f"ksmrun.fleet.{name}", *options)
        variables = {"ksmrun_units": ["game.service"], **variables}
        return self.run(*words, "-e", json.dumps(variables))

    @staticmethod
    def counts(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, int]]:
        """Return each host's counts."""
        text = done.stdout.rpartition("PLAY RECAP")[2]
        assert text, (done.stdout, done.stderr)
        found = {}
        for line in text.splitlines()[1:]:
            host, _, counts = line.partition(":")
            pairs = (word.split("=") for word in counts.split())
            found[host.strip()] = {name: int(count) for name, count in pairs}
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


def left(guest: Guest) -> set[str]:
    """Return the paths that the guest has written: all traces that the roles could leave."""
    upper = guest.folder / "upper"
    written = {path.relative_to(upper) for path in upper.rglob("*")}
    # A folder of the root is also there if something in it was written once.
    new = {f"/{path}" for path in written if not (guest.lower / path).is_dir()}
    runtime = guest.run("find", "/run/ksmrun", "/run/systemd/system", check=False)
    return {path for path in new | set(runtime.stdout.splitlines()) if not NOT_OURS.match(path)}


def command_of(guest: Guest) -> str:
    """Return the first words of what the service starts; the rest are times and a PID."""
    shown = guest.run("systemctl", "show", "game", "--property=ExecStart", "--value").stdout
    return shown.partition("; ignore")[0]


def test_lint(control: Control) -> None:
    done = control.run("ansible-lint", "--offline", "--strict", COLLECTION)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_roll_out_and_back(control: Control) -> None:
    first, *_ = control.guests.values()
    before, command = left(first), command_of(first)
    for host, told in control.play("rollout", "--check").items():
        assert told["failed"] == 0, control.said
        assert told["changed"] > 0, host
    assert left(first) == before
    assert command_of(first) == command
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
    assert left(first) == before
    assert command_of(first) == command
    assert not merges(first)
    assert all(each["changed"] == 0 for each in control.play("remove").values()), control.said


@pytest.fixture(scope="module")
def results(control: Control, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Run three experiments with each program, as one is not enough; return their folders.

    They run beside the canary, as a guest cannot set the KSM of its host, which is its own.
    """
    canary, *_ = control.guests.values()
    measured = ["-n", "2", "--rounds", "2", "--ready-after", "0.5", "--hold", "1"]
    measured += ["--stagger", "0", "--settle-max", "60"]
    fast = {"run": "1", "sleep_millisecs": "0", "pages_to_scan": "100000"}
    found: dict[str, list[str]] = {}
    with borrowed(fast, tmp_path_factory.mktemp("ksm")):
        for name, program in PROGRAMS.items():
            for number in "123":
                output = f"--output={canary.shared / name}-{number}"
                command = [
                    str(KSMRUN),
                    "ab",
                    *measured,
                    output,
                    "--",
                    sys.executable,
                    "-c",
                    program,
                ]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stderr
                found.setdefault(name, []).append(f"/shared/{name}-{number}")
    return found


# The program, and the number of experiments that count.
VERDICTS = {GO: ("equal", 3), STOP: ("different", 3), UNSURE: ("equal", 1)}


@pytest.mark.host_ksm
@pytest.mark.parametrize("verdict", VERDICTS)
def test_the_verdict_of_a_canary_decides(
    control: Control, results: dict[str, list[str]], verdict: str
) -> None:
    canary, *others = control.guests.values()
    before, command = left(canary), command_of(canary)
    name, number = VERDICTS[verdict]
    gate, folders = "pss<=-10%", results[name][:number]
    said = canary.run("ksmrun", "report", *folders, "--gate", gate, check=False)
    assert said.returncode == EXIT_CODES[verdict], said.stdout
    asked = {"fleet_gates": [gate], "fleet_results": folders, "fleet_retries": 1, "fleet_delay": 0}
    counts = control.play("rollout", **asked)
    goes_on = verdict == GO
    assert counts["one"]["failed"] == (not goes_on), control.said
    assert set(counts) == (set(NAMES) if goes_on else {"one"})
    assert [merges(guest) for guest in others] == [goes_on, goes_on]
    # Only "not sure" may become another verdict.
    assert ("RETRYING: " in control.said) == (verdict == UNSURE)

    assert merges(canary)
    undone = control.play("remove", "--limit", "one")
    assert set(undone) == {"one"} and undone["one"]["failed"] == 0, control.said
    assert not merges(canary)
    assert left(canary) == before
    assert command_of(canary) == command
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


def test_a_host_that_is_lost_half_way(control: Control) -> None:
    """Once the canary is done, the others go on without it; the next run goes on there."""
    ssh, lost = control.folder / "ssh-two", control.guests["two"]
    before = {name: left(guest) for name, guest in control.guests.items()}
    kept = ssh.read_text()
    launcher = lost.root / "usr/local/libexec/ksmrun/ksmrun-exec"
    ssh.write_text(kept.replace("exec ", f"[ ! -e {launcher} ] || exit 255\nexec "))
    try:
        counts = control.play("rollout")
    finally:
        ssh.write_text(kept)
    assert {name: each["unreachable"] for name, each in counts.items()} == {
        **{"one": 0, "two": 1, "three": 0}
    }, control.said
    assert launcher.exists()
    assert [merges(guest) for guest in control.guests.values()] == [True, False, True]

    counts = control.play("rollout")
    assert all(each["failed"] == each["unreachable"] == 0 for each in counts.values())
    assert counts["one"]["changed"] == 0
    assert all(merges(guest) for guest in control.guests.values())

    control.play("remove")
    for guest, traces in before.items():
        assert left(control.guests[guest]) == traces


def test_two_roll_outs_at_once(control: Control) -> None:
    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(lambda _: control.started("rollout", host_monitor=True), range(2)):
            counts = control.counts(done)
            assert set(counts) == set(NAMES), done.stdout
            assert all(each["failed"] == 0 for each in counts.values()), done.stdout
    assert all(merges(guest) for guest in control.guests.values())
    again = control.play("rollout", host_monitor=True)
    assert all(each["changed"] == 0 and each["failed"] == 0 for each in again.values())


def test_two_removals_at_once(control: Control) -> None:
    control.play("rollout", host_monitor=True)
    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(lambda _: control.started("remove"), range(2)):
            assert all(each["failed"] == 0 for each in control.counts(done).values()), done.stdout
    assert not any(merges(guest) for guest in control.guests.values())
