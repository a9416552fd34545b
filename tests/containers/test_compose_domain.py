"""Trust domains of services of Compose, whose launcher is in the container."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksmrun.model.trust import TRUST_FOLDER

from .conftest import Claim
from .engines import KSMRUN, Engine, Place, base, docker, engine, place, podman, root
from .test_compose import Project

__all__ = ["base", "docker", "engine", "place", "podman", "root"]
# They share the state of the host's domains.
pytestmark = pytest.mark.xdist_group("domains")

TRUST = "[domain.web]\nusers = ['nobody']\n[domain.mail]\nusers = ['daemon']\n"
# Only in the mount namespace of the engine is it the host's.
WRITE = """
mkdir "$1" && mount -t tmpfs tmpfs "$1" && mkdir "$1/upper" "$1/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" overlay /etc
mkdir -p -m 755 /etc/ksmrun && cat >/etc/ksmrun/trust.toml && chmod 644 /etc/ksmrun/trust.toml
"""
FILE = """
services:
  it: {image: %s, network_mode: none, entrypoint: [report]}
  strict: {image: %s, network_mode: none, entrypoint: [report], user: "1000"}
"""


@pytest.fixture(scope="module")
def trusting(place: Place) -> Place:
    place.run("sh", "-euc", WRITE, "write", place.folder / "etc", input=TRUST)
    return place


@pytest.fixture
def project(engine: Engine, trusting: Place, base: str, tmp_path: Path) -> Iterator[Project]:
    assert engine.place is trusting
    (tmp_path / "project").mkdir()
    (tmp_path / "project/compose.yaml").write_text(FILE.replace("%s", base))
    yield Project(engine, tmp_path / "project")


LATER = ["podman", pytest.param("docker", marks=pytest.mark.long_run)]


@pytest.mark.parametrize("engine", LATER, indirect=True)
def test_only_the_claimed_domain_merges(project: Project, claim: Claim) -> None:
    """Looked at by each start anew, also by another user's."""
    shown = project.wrap("compose.yaml", "--domain", "web", "--output", "over.yaml")
    assert "sudo ksmrun trust claim web" in shown.split("services:")[0]
    # Nothing was claimed since boot: there is not even the folder.
    assert not TRUST_FOLDER.exists()
    for claimed, merged in (("never", 0), ("web", 1), ("mail", 0), (None, 0)):
        if claimed != "never":
            claim(claimed)
        reports = project.reports("compose.yaml", "over.yaml")
        assert {name: report["merges"] for name, report in reports.items()} == {
            "it": merged,
            "strict": merged,
        }, claimed


def test_what_is_refused(trusting: Place, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services: {it: {image: x, entrypoint: run}}\n")
    wrap = (KSMRUN, "wrap", "compose", file, "--domain")
    cases = [
        (("none",), 1, "none"),
        (("No-Name",), 2, "is not the name of a trust domain"),
        (("web", "--exclude-secrets"), 1, "cannot be guarded"),
        (("web", "--mechanism=mark"), 1, "cannot be guarded"),
    ]
    for words, code, part in cases:
        done = trusting.try_run(*wrap, *words)
        assert (done.returncode, done.stdout) == (code, ""), words
        assert part in done.stderr and "Traceback" not in done.stderr, done.stderr
    shown = trusting.ksmrun(*wrap[1:], "web")
    (entrypoint,) = [line for line in shown.splitlines() if "entrypoint:" in line]
    assert "--domain=web" in json.loads(entrypoint.partition(":")[2])
