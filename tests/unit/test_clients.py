"""Commands that only ask a daemon to start something."""

from __future__ import annotations

import errno
import os
import shlex
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.commands.client import asked_daemon
from ksmrun.facts.daemons import listener, named
from ksmrun.plan.client_kinds import KINDS
from ksmrun.plan.clients import SPECIAL, find_client

UID = 1000
HOME = {"HOME": "/home/u"}


def client(line: str, **environment: str) -> str | None:
    """Return the daemon that starts the program."""
    found = find_client(shlex.split(line), HOME | environment, UID)
    return None if found is None else found.daemon


@pytest.mark.parametrize(
    ("line", "daemon"),
    [
        ("docker run -d nginx", "dockerd"),
        ("docker --context far -H unix:///s run nginx", "dockerd"),
        ("docker compose -f a.yaml up -d", "dockerd"),
        ("docker-compose -f a.yaml up", "dockerd"),
        ("podman --remote run nginx", "a podman service"),
        ("podman -c far run nginx", "a podman service"),
        ("podman-remote start web", "a podman service"),
        ("nerdctl run nginx", "containerd"),
        ("ctr -n k8s.io run image id", "containerd"),
        ("kubectl -n games apply -f pod.yaml", "Kubernetes"),
        ("helm upgrade --install web chart", "Kubernetes"),
        ("nomad job run game.hcl", "Nomad's agent"),
        ("systemctl --user restart game", "systemd"),
        ("systemctl enable --now game", "systemd"),
        ("systemd-run -p CPUWeight=10 ./server", "systemd"),
        ("supervisorctl -c f restart all", "supervisord"),
        ("at -f job now + 1 minute", "atd"),
        ("batch", "atd"),
        ("crontab file", "cron"),
        ("srun -N2 ./server", "slurmd"),
        ("screen -S game -X stuff x", "a session that already runs"),
        ("/usr/bin/docker start web", "dockerd"),
        ("sudo -n -u root docker start web", "dockerd"),
        ("env A=1 nice -n 5 timeout -k 1 10s docker start web", "dockerd"),
        ("sh -c 'exec docker start web'", "dockerd"),
        ("bash -lc 'docker start web; true'", "dockerd"),
        # Behind what prepares it, or another wrapper.
        ("sh -c 'cd /tmp && docker start web'", "dockerd"),
        ("sh -c 'set -e; export A=1; A=2 docker start web || exit 1; sleep 1'", "dockerd"),
        ("bash -c 'if docker start web; then echo started; fi'", "dockerd"),
        ("sh -c '(cd /tmp; docker start web) >/dev/null'", "dockerd"),
        ("sh -c \"cd /tmp\n# The server\ndocker start 'a;b'\"", "dockerd"),
        ("sh -c 'sh -c \"docker start web\"'", "dockerd"),
        ("su -c 'docker start web'", "dockerd"),
        ("su - root --command='cd /; docker start web'", "dockerd"),
        ("runuser -u root -- docker start web", "dockerd"),
        ("runuser root -c 'docker start web'", "dockerd"),
        ("chroot /srv docker start web", "dockerd"),
        ("env -S 'docker start web'", "dockerd"),
        ("sh -c 'docker start web >log 2>&1'", "dockerd"),
        ("sh -c 'docker start web &>log || echo lost >&2'", "dockerd"),
        ("sh -c 'pwd; docker start web#1 # in the background'", "dockerd"),
        ("bash -eo pipefail -c 'docker start web'", "dockerd"),
        ("bash --norc -c 'docker start web'", "dockerd"),
        ("bash --rcfile c -c 'docker start web'", "dockerd"),
        ("bash -c -l 'docker start web'", "dockerd"),
        ("bash +e -c 'docker start web'", "dockerd"),
        ("env --split-string='docker start web'", "dockerd"),
        ("env --unset A --chdir=/ docker start web", "dockerd"),
        ("timeout --signal KILL 5 docker start web", "dockerd"),
        ("timeout -s KILL --foreground 5 docker start web", "dockerd"),
        ("sudo --user bob --preserve-env=A docker start web", "dockerd"),
        ("taskset f docker start web", "dockerd"),
        ("setpriv --no-new-privs --reuid=1 docker start web", "dockerd"),
        ("chrt -f 10 docker start web", "dockerd"),
        ("sh -c 'docker start web#1; ./server'", None),
        ("sh -c '# docker start web'", None),
        ("bash --norc docker", None),
        ("sh -c 'docker start web; ./server'", None),
        ("sh -c './server; docker start web'", None),
        ("sh -c 'docker start \"web'", None),
        ("sh -c 'echo docker start web'", None),
        ("sh -c ''", None),
        ("sh -c", None),
        ("su", None),
        ("chroot", None),
        # That of another host or machine.
        ("systemctl -H web1 start nginx", "systemd of web1"),
        ("systemctl --host=web1 enable --now nginx", "systemd of web1"),
        ("systemctl start nginx -Mbox", "systemd of box"),
        ("systemd-run --machine box ./server", "systemd of box"),
        ("systemd-run -u x ./server -H web1 --scope", "systemd"),
        # These start the program themselves, or nothing.
        ("systemd-run -u x --scope ./server", None),
        ("systemctl -H web1 status nginx", None),
        ("systemctl -H web1 enable nginx", None),
        ("crontab -l", None),
        ("crontab -u games -r", None),
        ("at -l", None),
        ("at -c 7", None),
        ("docker ps", None),
        ("docker --version", None),
        ("podman run nginx", None),
        ("podman run nginx --remote", None),
        ("podman --remote=false run nginx", None),
        ("podman --remote ps", None),
        ("kubectl get pods", None),
        ("systemctl status nginx", None),
        ("systemctl enable nginx", None),
        ("systemd-run --scope ./server", None),
        ("nomad agent -dev", None),
        ("screen -dmS game ./server", None),
        ("dtach -n /s ./server", None),
        ("sh start.sh docker", None),
        ("sudo", None),
    ],
)
def test_who_starts_the_program(line: str, daemon: str | None) -> None:
    assert client(line) == daemon


def test_a_line_that_no_shell_reads() -> None:
    assert find_client(["sh", "-c", "docker run it's"], HOME, UID) is None


@pytest.mark.parametrize(
    "line",
    [
        "tmux new-session -d -s g '/usr/local/libexec/ksmrun/ksmrun-exec -- ./server'",
        "docker run --runtime=ksmrun nginx",
        "docker run --runtime ksmrun-by-request --annotation=ksmrun.merge=on nginx",
        "docker run -e KSMRUN_MERGE=on nginx",
        "systemd-run /usr/local/libexec/ksmrun/ksmrun-exec -- ./server",
        "screen -X screen ksmrun run -- ./server",
        "srun ksmrun run -- ./server",
    ],
)
def test_the_way_that_works_is_not_warned_of(line: str) -> None:
    assert client(line) is None


def test_a_folder_of_our_name_is_no_launcher() -> None:
    assert client("docker run -v /srv/ksmrun-data/maps:/maps nginx") == "dockerd"


@pytest.mark.parametrize(
    ("line", "environment", "path"),
    [
        ("tmux", {}, "/tmp/tmux-1000/default"),
        ("tmux new-session -d -s g ./server", {}, "/tmp/tmux-1000/default"),
        ("tmux -u neww ./server", {"TMUX_TMPDIR": "/run/x"}, "/run/x/tmux-1000/default"),
        ("tmux -L game new -d ./server", {}, "/tmp/tmux-1000/game"),
        ("tmux -uLgame new -d ./server", {}, "/tmp/tmux-1000/game"),
        ("tmux -f /conf -S /run/s splitw ./server", {}, "/run/s"),
        ("tmux neww ./server", {"TMUX": "/tmp/tmux-1000/other,77,0"}, "/tmp/tmux-1000/other"),
        ("tmux -L game neww x", {"TMUX": "/tmp/tmux-1000/other,77,0"}, "/tmp/tmux-1000/game"),
        ("tmux set -g x y ';' new -d ./server", {}, "/tmp/tmux-1000/default"),
        ("tmux attach", {}, None),
        ("tmux -V", {}, None),
        ("tmux kill-session -t new", {}, None),
        ("pm2 start app.js", {}, "/home/u/.pm2/rpc.sock"),
        ("pm2 restart app", {"PM2_HOME": "/srv/pm2"}, "/srv/pm2/rpc.sock"),
        ("pm2 list", {}, None),
        ("dtach -A /run/s ./server", {}, "/run/s"),
        ("service game restart", {}, "/run/systemd/private"),
        ("service game status", {}, None),
    ],
)
def test_only_where_somebody_listens(
    line: str, environment: dict[str, str], path: str | None
) -> None:
    found = find_client(shlex.split(line), HOME | environment, UID)
    assert (None if found is None else str(found.socket)) == path


def test_by_the_environment() -> None:
    assert client("podman run nginx", CONTAINER_HOST="unix:///s") == "a podman service"
    assert client("screen ./server", STY="7.pts") == "a session that already runs"
    assert client("screen -m ./server", STY="7.pts") is None


def test_what_to_do_names_the_unit() -> None:
    for line, way in (
        ("systemctl restart game.service", "sudo ksmrun wrap unit --now game.service"),
        ("systemctl --user start game", "ksmrun wrap unit --user --now game"),
        ("systemctl -H web1 start game", "there, sudo ksmrun wrap unit --now game"),
        ("systemctl --machine box start game", "there, sudo ksmrun wrap unit --now game"),
        ("systemctl start 'a b'", "sudo ksmrun wrap unit --now 'a b'"),
    ):
        found = find_client(shlex.split(line), HOME, UID)
        assert found is not None
        assert found.way == way


@given(st.sampled_from((*KINDS, *SPECIAL, "sudo", "env", "sh")), st.lists(st.text()))
def test_any_words_are_judged(name: str, words: list[str]) -> None:
    found = find_client([name, *words], {}, UID)
    assert found is None or (found.daemon and found.way and "\n" not in found.found)


def test_who_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A socket address holds 108 bytes.
    monkeypatch.chdir(tmp_path)
    path = Path("s")
    assert listener(path) is None
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert listener(path) is None, "bound, and not listening"
        server.listen(0)
        assert listener(path) == os.getpid()
        assert listener(path) == 0, "its backlog is full"
    assert listener(path) is None, "nobody's any more"
    assert listener(Path("x" * 200)) is None


def test_daemons_by_their_names(tmp_path: Path) -> None:
    for pid, name in ((7, "atd"), (8, "atd2"), (9, "atd")):
        (tmp_path / f"proc/{pid}").mkdir(parents=True)
        (tmp_path / f"proc/{pid}/comm").write_text(f"{name}\n")
    (tmp_path / "proc/10").mkdir()
    (tmp_path / "proc/self").mkdir()
    if os.geteuid() == 0:
        os.chown(tmp_path / "proc/9", 1234, 1234)
    else:
        (tmp_path / "proc/9/comm").write_text("other\n")
    assert named("atd", tmp_path) == (7,)


def test_the_launch_goes_on_where_nobody_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr("ksmrun.facts.daemons.named", fail)
    monkeypatch.setattr("ksmrun.facts.daemons.listener", fail)
    assert asked_daemon([b"docker", b"run", b"nginx"]) is None
    assert asked_daemon([b"tmux", b"new"]) is None
    assert asked_daemon([b"systemctl", b"start", b"a\xff"]) is not None
    assert asked_daemon([b"\xff"]) is None
