"""What of a process counts for its domain: nothing that it could choose by itself."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ksmrun.facts import trust_containers
from ksmrun.facts.trust_containers import ContainerReader, of_annotations
from ksmrun.facts.trust_traits import (
    cgroup_places,
    outermost_container,
    own_traits,
    read_traits,
    trusted_units,
)
from ksmrun.model.process import Container
from ksmrun.model.trust import ContainerTraits, Traits

ID, OTHER = "a" * 64, "b" * 64
STATUS = "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \n"


def plain(found: Container) -> ContainerTraits:
    return ContainerTraits(found.engine, found.id)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "proc/self/ns").mkdir(parents=True)
    (tmp_path / "proc/self/ns/user").symlink_to("user:[1]")
    return tmp_path


def process(host: Path, cgroup: str, exe: str = "/bin/x", space: str = "user:[1]") -> Path:
    folder = host / "proc/7"
    (folder / "ns").mkdir(parents=True)
    (folder / "ns/user").symlink_to(space)
    (folder / "exe").symlink_to(exe)
    (folder / "cgroup").write_text(cgroup)
    (folder / "status").write_text(STATUS)
    (folder / "stat").write_text(f"7 (x) S {' '.join('0' * 50)}")
    return folder


@pytest.mark.parametrize(
    ("path", "units"),
    [
        ("/system.slice/web.service", ("system.slice", "web.service")),
        ("/web.slice/web-a.slice/x.scope", ("web.slice", "web-a.slice", "x.scope")),
        (
            "/system.slice/system-web.slice/web@1.service",
            ("system.slice", "system-web.slice", "web@1.service"),
        ),
        # Below the first unit, its owner names what they like.
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service",
            ("user.slice", "user-1000.slice", "user@1000.service"),
        ),
        ("/system.slice/x.service/web.slice/web.service", ("system.slice", "x.service")),
        ("/docker/web.slice", ()),
        ("/_cpu.slice/x.service", ("cpu.slice", "x.service")),
        ("/../web.slice", ()),
        ("/web.slice/../x.service", ()),
        ("/", ()),
        ("/system.slice/web.service (deleted)", ("system.slice", "web.service")),
    ],
)
def test_units_end_where_somebody_else_names_them(path: str, units: tuple[str, ...]) -> None:
    assert trusted_units(cgroup_places(f"0::{path}\n")[""]) == units


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("3:memory:/web.slice\n1:name=systemd:/a.slice\n0::/\n", ("a.slice",)),
        ("1:name=systemd:/\n0::/b.slice\n", ("b.slice",)),
        ("1:name=systemd:/b.slice\n0::/b.slice\n", ("b.slice",)),
        ("3:memory:/web.slice\n", ()),
        # Its engine moved it in the hierarchies of version 1 alone.
        (f"1:name=systemd:/docker/{ID}\n0::/system.slice/containerd.service\n", ()),
        ("", ()),
    ],
)
def test_the_hierarchy_that_has_units_counts(host: Path, text: str, units: tuple[str, ...]) -> None:
    assert read_traits(process(host, text), plain, host).units == units


@pytest.mark.parametrize(
    ("path", "engine", "number"),
    [
        (f"/system.slice/docker-{ID}.scope", "docker", ID),
        (f"/system.slice/docker-{ID}.scope/docker/{OTHER}", "docker", ID),
        (f"/machine.slice/libpod-{ID}.scope/container", "podman", ID),
        (f"/system.slice/web.service/libpod-payload-{ID}", "podman", ID),
        (f"/docker/{ID}/docker/{OTHER}", "docker", ID),
    ],
)
def test_the_outermost_container_counts(path: str, engine: str, number: str) -> None:
    found = outermost_container(tuple(path.strip("/").split("/")))
    assert found is not None
    assert (found[0].engine, found[0].id) == (engine, number)


def test_users_groups_and_program_are_read(host: Path) -> None:
    folder = process(host, "0::/a.slice/x.service\n", "/usr/bin/x (deleted)")
    assert read_traits(folder, plain, host) == Traits(
        ("a.slice", "x.service"), (1, 2, 3), (5, 6, 7, 9, 10), "/usr/bin/x"
    )


def test_a_path_in_another_user_namespace_is_made_up(host: Path) -> None:
    found = read_traits(process(host, "0::/\n", space="user:[2]"), plain, host)
    assert found.executable is None


@pytest.mark.skipif(os.geteuid() != 0, reason="the folders have to be root's")
def test_a_container_counts_where_only_root_names_it(host: Path) -> None:
    path = f"user.slice/user@1.service/docker-{ID}.scope"
    (host / "sys/fs/cgroup" / path).mkdir(parents=True)
    folder = process(host, f"0::/{path}\n")
    found = read_traits(folder, plain, host)
    assert found.container == ContainerTraits("docker", ID)
    # Its program is of the image's, whatever its path.
    assert found.executable is None
    above = (host / "sys/fs/cgroup" / path).parent
    os.chown(above, 1000, 1000)
    assert read_traits(folder, plain, host).container is None
    os.chown(above, 0, 0)
    above.chmod(0o777)
    assert read_traits(folder, plain, host).container is None
    above.chmod(0o755)
    assert read_traits(folder, plain, host).container is not None
    (above / f"docker-{ID}.scope").rmdir()
    above.rmdir()
    assert read_traits(folder, plain, host).container is None


CRI = {
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.image-name": "docker.io/library/nginx:1",
    "io.kubernetes.cri.sandbox-namespace": "shop",
}
CRI_O = {
    "io.kubernetes.cri-o.Labels": '{"io.kubernetes.pod.namespace": "shop", "team": "a", "n": 1}',
    "io.kubernetes.cri-o.ImageName": "nginx:1",
}


def test_what_engines_for_kubernetes_write() -> None:
    container = Container("containerd", ID, "pod")
    found = of_annotations(container, CRI)
    assert found == ContainerTraits("containerd", ID, "docker.io/library/nginx:1", (), "shop")
    found = of_annotations(container, CRI_O)
    assert found is not None
    assert found.namespace == "shop"
    assert found.labels == ("io.kubernetes.pod.namespace=shop", "team=a")
    # A pod's author may add the other engine's.
    assert of_annotations(container, CRI | CRI_O) is None
    assert of_annotations(container, {}) is None
    assert of_annotations(container, CRI_O | {"io.kubernetes.cri-o.Labels": "["}) is not None


@pytest.fixture
def bundle(host: Path) -> Path:
    file = host / f"run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"annotations": CRI}))
    return file


def test_a_bundle_counts_if_nobody_else_can_write_it(host: Path, bundle: Path) -> None:
    container = Container("containerd", ID)
    reader = ContainerReader(asks=True, root=host)
    bundle.chmod(0o666)
    assert not reader(container).is_known
    bundle.chmod(0o644)
    assert reader(container).namespace == "shop"
    # It is asked once, as nothing of it can change.
    bundle.unlink()
    assert reader(container).namespace == "shop"
    reader.keep(set())
    assert not reader(container).is_known


@pytest.mark.parametrize("content", ["", "[", "[]", '{"annotations": 3}', "[" * 100_000])
def test_an_unreadable_bundle_makes_it_unknown(host: Path, bundle: Path, content: str) -> None:
    bundle.write_text(content)
    assert not ContainerReader(asks=True, root=host)(Container("containerd", ID)).is_known


def test_nothing_is_asked_that_no_rule_needs(host: Path) -> None:
    reader = ContainerReader(asks=False, root=host)
    assert reader(Container("docker", ID)) == ContainerTraits("docker", ID)
    # An id that a user chose is never part of a path or command.
    reader = ContainerReader(asks=True, root=host)
    assert reader(Container("lxc", "--help")) == ContainerTraits("lxc", "--help")


CLIENT = """#!/bin/sh
[ "$*" = "container inspect {id}" ] || exit 1
cat {answer}
"""


@pytest.mark.parametrize(
    ("answer", "is_known"),
    [
        ([{"Id": ID, "Config": {"Image": "nginx", "Labels": {"team": "a"}}}], True),
        ([{"Id": ID, "ImageName": "nginx", "Config": {"Labels": {"team": "a"}}}], True),
        ([{"Id": OTHER, "Config": {"Image": "nginx", "Labels": {"team": "a"}}}], False),
        ([], False),
        ({}, False),
        ([3], False),
        ([{"Id": ID, "Config": 3}], False),
        ([{"Id": ID, "Config": {"Labels": 3}}], False),
    ],
)
def test_an_engines_client_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: object, is_known: bool
) -> None:
    (tmp_path / "answer").write_text(json.dumps(answer))
    client = tmp_path / "docker"
    client.write_text(CLIENT.format(id=ID, answer=tmp_path / "answer"))
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = ContainerReader(asks=True)(Container("docker", ID))
    assert found.is_known == is_known
    assert found.image == ("nginx" if is_known else None)
    assert found.labels == (("team=a",) if is_known else ())


def test_a_silent_engine_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its containers are: each question would hold up a claim, or the monitor."""
    client = tmp_path / "docker"
    client.write_text(f"#!/bin/sh\necho >>{tmp_path}/asked\nexec sleep 1000\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(trust_containers, "CLIENT_SECONDS", 0.5)
    reader = ContainerReader(asks=True)
    for container in (Container("docker", ID), Container("docker", OTHER)):
        assert not reader(container).is_known
    assert (tmp_path / "asked").read_text() == "\n"
    # Afterwards it is asked again.
    monkeypatch.setattr(trust_containers, "SILENT_SECONDS", 0.0)
    reader = ContainerReader(asks=True)
    for container in (Container("docker", ID), Container("docker", OTHER)):
        assert not reader(container).is_known
    assert (tmp_path / "asked").read_text() == "\n\n\n"


def test_an_engine_without_a_client_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not ContainerReader(asks=True)(Container("podman", ID)).is_known


def test_own_traits_are_this_processes() -> None:
    assert own_traits().uids == os.getresuid()
