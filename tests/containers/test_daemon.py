"""A container daemon that is itself started merged: everything below it inherits the flag."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from waiting import wait_until

from ksmrun.model.wrap import LAUNCHER

from .engines import Engine, Place, dockerd, merges, place, podman, root

__all__ = ["place", "podman", "root"]


def by_command(*words: str) -> list[psutil.Process]:
    """Return processes whose command line contains all of these."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if all(word in line for word in words):
            found.append(process)
    return found


def only(*words: str) -> int:
    """Return the PID of the only process with such a command line, once its starter has ended."""
    wait_until(lambda: len(by_command(*words)) == 1)
    (process,) = by_command(*words)
    return int(process.pid)


PLAIN = pytest.param((), marks=pytest.mark.long_run)


@pytest.mark.parametrize("before", [(str(LAUNCHER), "--quiet", "--"), PLAIN])
def test_dockerd(place: Place, root: Path, before: tuple[str, ...]) -> None:
    name = "merged" if before else "plain"
    own = {**place.environment, "DOCKER_HOST": f"unix://{place.folder}/{name}.sock"}
    engine = Engine("docker", replace(place, environment=own))
    with dockerd(place, *before, name=name) as pid:
        engine.build("web", 'FROM scratch\nCOPY root/ /\nENTRYPOINT ["report"]\n', {"root": root})
        with engine.started("web") as container:
            engine("exec", "--detach", container, "sleep", "31415926")
            pids = {
                "the daemon": pid,
                "its containerd": only("containerd --config", f"/{name}/"),
                "the shim": only("containerd-shim", f"/{name}/"),
                "the container": engine.pid(container),
                "what is exec'd": only("sleep 31415926"),
            }
            assert {who: merges(each) for who, each in pids.items()} == dict.fromkeys(
                pids, bool(before)
            )


def test_containerd(place: Place, podman: Engine, root: Path) -> None:
    podman.build("localhost/web:1", "FROM scratch\nCOPY root/ /\n", {"root": root})
    archive, folder = place.folder / "web.tar", place.folder / "containerd"
    podman("save", "--output", archive, "localhost/web:1")
    ways = ("--root", folder / "d", "--state", folder / "s", "--address", folder / "socket")
    ctr = ("ctr", "--address", folder / "socket")
    daemon = (LAUNCHER, "--quiet", "--", "containerd", *ways)
    with place.daemon(*daemon, ready=(*ctr, "version")) as pid:
        native = ("--snapshotter", "native")
        place.run(*ctr, "images", "import", *native, archive)
        place.run(*ctr, "run", "--detach", *native, "localhost/web:1", "c", "sleep", "27182818")
        try:
            place.run(*ctr, "task", "exec", "--detach", "--exec-id", "e", "c", "sleep", "16180339")
            shim = only("containerd-shim", str(folder / "socket"))
            pids = [pid, shim, only("sleep 27182818"), only("sleep 16180339")]
            assert [merges(each) for each in pids] == [True] * 4
        finally:
            place.run(*ctr, "task", "rm", "--force", "c")
            place.run(*ctr, "container", "rm", "c")


def test_podman_has_no_daemon(podman: Engine, root: Path) -> None:
    """The command that starts a container passes the flag on; later commands in it have none."""
    podman.build("web", "FROM scratch\nCOPY root/ /\n", {"root": root})
    start = ("run", "--detach", "--network", "none", "web", "sleep", "14142135")
    container = podman.place.run(LAUNCHER, "--quiet", "--", "podman", *start).strip()
    try:
        podman("exec", "--detach", container, "sleep", "17320508")
        command = (LAUNCHER, "--quiet", "--", "podman", "exec", "--detach", container)
        podman.place.run(*command, "sleep", "22360679")
        found = [merges(only(f"sleep {number}")) for number in (14142135, 17320508, 22360679)]
        assert found == [True, False, True]
    finally:
        podman("rm", "--force", "--time", "0", container)
