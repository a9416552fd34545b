"""The printed lines in containerd 1.7 and 2.x, of Debian's other suites, with the CRI plugin."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from debs import unpack_version

from ksmrun.model.container import RuntimeEngine as Engine

from .conftest import daemon, printed

# Debian's own, containerd's complete default, and none.
KINDS = ("debian", "default", "none")


@dataclass(frozen=True)
class Containerd:
    version: str
    folder: Path

    def run(self, program: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / "usr/bin" / program, *words],
            capture_output=True,
            text=True,
            check=False,
            env=self.environment(),
        )

    def environment(self) -> dict[str, str]:
        """Its shim is found in PATH."""
        return os.environ | {"PATH": f"{self.folder}/usr/bin:{os.environ['PATH']}"}


@pytest.fixture(scope="module", params=["1.7", "2.1"])
def containerd(request: pytest.FixtureRequest, folder: Path) -> Containerd:
    place = folder / f"containerd-{request.param}"
    place.mkdir()
    return Containerd(unpack_version("containerd", request.param, place), place)


@pytest.fixture(params=KINDS)
def started(
    request: pytest.FixtureRequest,
    containerd: Containerd,
    oci: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[str, str, Path]]:
    """Yield the configuration as containerd reads it, its plugins, and its log."""
    place = containerd.folder / request.param
    place.mkdir()
    file = place / "config.toml"
    text = ""
    if request.param == "debian":
        text = (containerd.folder / "etc/containerd/config.toml").read_text()
    elif request.param == "default":
        text = containerd.run("containerd", "config", "default").stdout
    if text:
        file.write_text(text)
    lines = printed(Engine.CONTAINERD, oci, "--config", str(file))
    file.write_text(text + lines)
    dump = containerd.run("containerd", f"--config={file}", "config", "dump")
    assert dump.returncode == 0, dump
    monkeypatch.setenv("PATH", containerd.environment()["PATH"])
    socket = place / "s"
    command: list[str | Path] = [containerd.folder / "usr/bin/containerd", f"--config={file}"]
    command += [f"--root={place}/root", f"--state={place}/state", f"--address={socket}"]

    def is_ready() -> bool:
        return containerd.run("ctr", "--address", socket, "version").returncode == 0

    with daemon(command, place / "log", is_ready):
        plugins = containerd.run("ctr", "--address", socket, "plugins", "ls").stdout
        yield dump.stdout, plugins, place / "log"


def test_the_lines_are_taken(started: tuple[str, str, Path], oci: Path) -> None:
    dump, plugins, log = started
    # 2.x writes its tables and texts in single quotes.
    dump = dump.replace("'", '"')
    for name in (oci, f"{oci}-by-request"):
        assert f'BinaryName = "{name}"' in dump
    assert dump.count('pod_annotations = ["ksmrun.*"]') == 2
    for name in ("runc", "ksmrun", "ksmrun-by-request"):
        assert f".containerd.runtimes.{name}]" in dump
    rows = [line.split() for line in plugins.splitlines()]
    # 2.x has parts of it under a type of its own.
    cri = [row[-1] for row in rows if row[0] == "io.containerd.cri.v1" or row[1:2] == ["cri"]]
    assert cri and set(cri) == {"ok"}, plugins
    assert "level=fatal" not in log.read_text()
