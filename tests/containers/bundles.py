"""Bundles, and runtimes that start them without an engine."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from waiting import LAST_RESORT_SECONDS, wait_until

from .conftest import Done, run

Config = dict[str, Any]


@dataclass
class Bundle:
    """Folder with a config.json, and the words that start it."""

    path: Path
    runtime: list[str]
    config: Config
    name: str = field(default_factory=lambda: f"ko-{uuid.uuid4().hex[:12]}")

    def save(self) -> None:
        (self.path / "config.json").write_text(json.dumps(self.config, indent="\t"))

    def saved(self) -> Config:
        config: Config = json.loads((self.path / "config.json").read_text())
        return config

    def call(self, *words: str | Path, **options: Any) -> Done:
        return run(*self.runtime, *words, cwd=self.path, **options)

    def run(self, *command: str, **options: Any) -> Done:
        """Write the config.json with this command, and run it to its end."""
        if command:
            self.config["process"]["args"] = list(command)
        self.save()
        return self.call("run", "--bundle", str(self.path), self.name, **options)

    def detach(self, *words: str | Path) -> None:
        """Make a call whose process lives on, with the file `output`."""
        with (self.path / "output").open("ab") as output:
            code = subprocess.call(
                [*self.runtime, *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.path,
                timeout=LAST_RESORT_SECONDS,
            )
        assert code == 0, (self.path / "output").read_text()

    def start(self, *command: str) -> int:
        """Create and start it; return the host's PID of its first process."""
        self.config["process"]["args"] = list(command)
        self.save()
        self.detach("create", "--bundle", self.path, self.name)
        assert self.call("start", self.name).returncode == 0
        pid = int(json.loads(self.call("state", self.name).stdout)["pid"])
        comm = Path(f"/proc/{pid}/comm")
        # Before that it is the runtime, then the launcher.
        wait_until(lambda: comm.read_text().strip() == command[0], f"{command[0]} was not executed")
        return pid

    def delete(self) -> None:
        self.call("delete", "--force", self.name)


def plain_config(root: Path) -> Config:
    """Return what `runc spec` writes, without what a test's host may refuse."""
    folder = root.parent / "spec"
    if not folder.exists():
        folder.mkdir()
        subprocess.run(["runc", "spec"], cwd=folder, check=True)
    config: Config = json.loads((folder / "config.json").read_text())
    config["process"]["terminal"] = False
    config["process"]["rlimits"] = []
    config["root"] = {"path": str(root), "readonly": False}
    return config


def runtime_words(name: str, state: Path, oci: Path | None, prefix: list[str]) -> list[str]:
    """Return runc or crun with its own folder for state, through ksmrun-oci or not."""
    binary = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert binary is not None, name
    words = [binary] if oci is None else [str(oci), f"--ksmrun-runtime={binary}"]
    return [*(prefix if name == "crun" else []), *words, f"--root={state / name}"]


RUNTIMES = ("runc", "crun")
Make = Callable[..., Bundle]


@pytest.fixture(params=RUNTIMES)
def make(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    root: Path,
    oci: Path,
    private_cgroups: list[str],
) -> Iterator[Make]:
    """Make a bundle that is started through ksmrun-oci, or without it."""
    made: list[Bundle] = []

    def make_one(wrapped: bool = True, name: str = "ksmrun-oci") -> Bundle:
        path = tmp_path / f"bundle{len(made)}"
        path.mkdir()
        program = oci.with_name(name) if wrapped else None
        words = runtime_words(request.param, tmp_path / "state", program, private_cgroups)
        made.append(Bundle(path, words, plain_config(root)))
        return made[-1]

    yield make_one
    for bundle in made:
        bundle.delete()


def hardened(config: Config) -> None:
    config["root"]["readonly"] = True
    config["process"]["noNewPrivileges"] = True
    config["process"]["capabilities"] = {}
    config["process"]["user"] = {"uid": 1000, "gid": 1000}


def with_user_namespace(config: Config) -> None:
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    config["linux"] |= {"uidMappings": mapping, "gidMappings": mapping}
    config["linux"]["namespaces"].append({"type": "user"})


def plain(config: Config) -> None:
    pass
