"""Shared layouts of containers, by ksmrun-oci in front of the real runc and crun."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .bundles import Config, Make, hardened, make, plain, with_user_namespace
from .conftest import parts

__all__ = ["make"]


def root_without_capabilities(config: Config) -> None:
    hardened(config)
    config["process"]["user"] = {"uid": 0, "gid": 0}


def user_in_a_user_namespace(config: Config) -> None:
    with_user_namespace(config)
    config["process"]["user"] = {"uid": 1000, "gid": 1000}


def asks_for(group: str, **others: str) -> dict[str, str]:
    asks = {"layout": "shared", "layout-group": group, "require": "true", **others}
    return {f"ksmrun.{name}": value for name, value in asks.items()}


KEY = "/dev/ksmrun/layout.key"
OWNERS: dict[Callable[[Config], None], int] = {
    plain: 0,
    root_without_capabilities: 0,
    hardened: 1000,
    with_user_namespace: 100000,
    user_in_a_user_namespace: 101000,
}


@pytest.mark.parametrize("change", OWNERS)
def test_shared_layout(make: Make, group: str, change: Callable[[Config], None]) -> None:
    """All containers of the group have the same addresses, whatever user runs in them.

    So has what is executed in them. The key is the user's, and not the group's.
    """
    seen = set()
    for changes in (plain, change):
        bundle = make()
        changes(bundle.config)
        bundle.config["annotations"] = asks_for(group)
        done = bundle.run("where")
        assert done.returncode == 0, done.stderr
        seen.add(parts(done.stdout))
    assert len(seen) == 1
    key = bundle.path / "ksmrun-layout.key"
    status = key.stat()
    assert (status.st_uid, status.st_mode & 0o7777) == (OWNERS[change], 0o400)
    of_group = Path(f"/run/ksmrun/layout/units/{group}.key").read_bytes()
    scope = b"containers of the host"
    assert key.read_bytes() == hmac.digest(of_group, scope, "sha256")
    bundle.start("sleep", "300")
    for _ in range(2):
        user = bundle.config["process"]["user"]["uid"]
        done = bundle.call("exec", f"--user={user}", bundle.name, "where")
        assert done.returncode == 0, done.stderr
        assert parts(done.stdout) == next(iter(seen))
    # Another user cannot read the key, and there is no message about it.
    done = bundle.call("exec", "--user=77", bundle.name, "where")
    assert (done.returncode, done.stderr) == (0, "")
    assert parts(done.stdout) not in seen
    # It vanishes when it is no longer asked for.
    bundle.delete()
    bundle.config = bundle.saved()
    del bundle.config["annotations"]["ksmrun.layout"]
    bundle.run("true")
    assert not key.exists()


def test_an_image_takes_no_group_s_key(make: Make, group: str) -> None:
    """An image's environment may ask for little, under each name of the runtime."""
    for name in ("ksmrun-oci", "ksmrun-oci-by-request"):
        bundle = make(name=name)
        bundle.config["process"]["env"].append(f"KSMRUN_OCI=layout=shared,layout-group={group}")
        done = bundle.run("ls", "/dev/ksmrun")
        assert "layout.key" not in done.stdout
        assert "layout=shared is ignored" in done.stderr
        assert not (bundle.path / "ksmrun-layout.key").exists()


def test_namespaces_have_layouts_of_their_own(make: Make, group: str) -> None:
    def where(**annotations: str) -> tuple[int, ...]:
        bundle = make()
        bundle.config["annotations"] = {**asks_for(group), **annotations}
        done = bundle.run("where")
        assert done.returncode == 0, done.stderr
        return parts(done.stdout)

    def pod(namespace: str) -> dict[str, str]:
        return {"io.kubernetes.cri.sandbox-namespace": namespace}

    places = [where(), where(**pod("a")), where(**pod("b"))]
    assert len(set(places)) == 3
    assert where(**pod("a")) == places[1]
    bundle = make()
    bundle.config["annotations"] = {
        **asks_for(group),
        **pod("a"),
        "io.kubernetes.cri-o.Namespace": "b",
    }
    done = bundle.run("true")
    assert done.returncode == 125
    assert "namespace is not certain" in done.stderr


def test_groups_that_the_host_opens(make: Make, group: str, tmp_path: Path) -> None:
    config = tmp_path / "oci.json"

    def starts(groups: object, *options: str, **annotations: str) -> tuple[int, str]:
        config.write_text(json.dumps({"groups": groups}))
        bundle = make()
        at = next(i for i, word in enumerate(bundle.runtime) if word.endswith("ksmrun-oci"))
        added = [f"--ksmrun-config={config}", *options]
        bundle.runtime[at + 1 : at + 1] = added
        bundle.config["annotations"] = annotations
        done = bundle.run("ls", "/dev/ksmrun")
        return done.returncode, done.stdout + done.stderr

    asks = asks_for(group)
    assert starts({group: {}}, **asks)[0] == 0
    assert starts({group: {"users": [0]}}, **asks)[0] == 0
    for groups in ({}, {group: {"users": [1]}}, {group: {"namespaces": ["shop"]}}):
        code, text = starts(groups, **asks)
        assert code == 125
        assert f"group {group} is not open for this container" in text
    # The runtime's entry belongs to the operator, and overrides the others.
    entry = f"--ksmrun-request=layout=shared,layout-group={group}"
    for others in ({}, {"ksmrun.layout": "random", "ksmrun.layout-group": "other"}):
        code, text = starts({}, entry, **others)
        assert (code, "layout.key" in text) == (0, True), text


def test_the_layout_s_scope(make: Make, group: str) -> None:
    bundle = make()
    bundle.config["annotations"] = asks_for(group, **{"layout-scope": "tree"})
    done = bundle.run("sh", "-c", "where; true")
    assert done.returncode == 0, done.stderr
    assert "--layout-scope=tree" in bundle.saved()["process"]["args"]


def test_a_layout_that_cannot_be_had(make: Make, group: str) -> None:
    bundle = make()
    ask = {"ksmrun.layout": "shared", "ksmrun.layout-group": "no-such-group"}
    bundle.config["annotations"] = ask
    done = bundle.run("grep", "any", "/proc/1/ksm_stat")
    assert (done.returncode, done.stdout) == (0, "ksm_merge_any: yes\n")
    assert "ksmrun layout key no-such-group" in done.stderr
    bundle.config["annotations"] = {**ask, "ksmrun.require": "true"}
    done = bundle.run("true")
    assert done.returncode == 125
    # A user without a UID on the host.
    bundle.config["annotations"] = asks_for(group)
    with_user_namespace(bundle.config)
    bundle.config["process"]["user"] = {"uid": 70000, "gid": 0}
    done = bundle.run("true")
    assert done.returncode == 125
    assert "uidMappings" in done.stderr
