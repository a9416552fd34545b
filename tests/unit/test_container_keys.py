"""Keys that containers get instead of their group's."""

from __future__ import annotations

import hmac
import os
from pathlib import Path

import pytest

from ksmrun.host.container_keys import renew_container_keys, write_container_key
from ksmrun.host.layout_keys import group_key, rotate
from ksmrun.model.errors import KsmrunError
from ksmrun.model.wrap import ContainerKey

KEYS = (
    ContainerKey("g.1", user=os.geteuid()),
    ContainerKey("g.1", "shop", os.geteuid()),
    ContainerKey("g.1", "host", os.geteuid()),
    ContainerKey("other", "shop", os.geteuid()),
)


def test_each_is_another_and_none_is_the_group_s(tmp_path: Path) -> None:
    made = [write_container_key(tmp_path, key, None) for key in KEYS]
    assert [file.stat().st_mode & 0o7777 for file in made] == [0o400] * len(KEYS)
    data = {file.read_bytes() for file in made}
    assert len(data | {group_key(tmp_path, "g.1")}) == len(KEYS) + 1
    # Same words as in native/oci/tenant.c.
    words = b"containers of Kubernetes/shop"
    assert made[1].read_bytes() == hmac.digest(group_key(tmp_path, "g.1"), words, "sha256")


def test_all_are_renewed(tmp_path: Path) -> None:
    made = [write_container_key(tmp_path, key, None) for key in KEYS]
    before = [file.read_bytes() for file in made]
    (tmp_path / "containers/host/a.b.key").write_bytes(b"another's")
    rotate(tmp_path, "g.1")
    renew_container_keys(tmp_path)
    changed = [file.read_bytes() != old for file, old in zip(made, before, strict=True)]
    assert changed == [True, True, True, False]
    assert (tmp_path / "containers/host/a.b.key").read_bytes() == b"another's"
    assert [file.stat().st_mode & 0o7777 for file in made] == [0o400] * len(KEYS)


def test_what_is_refused(tmp_path: Path) -> None:
    for key in (
        ContainerKey("g", "../host"),
        ContainerKey("g", ""),
        ContainerKey("g", user=-1),
        ContainerKey("g", user=1 << 32),
        ContainerKey("../g"),
    ):
        with pytest.raises(KsmrunError):
            write_container_key(tmp_path, key, None)
    assert not (tmp_path / "containers").exists()
    # Neither through a link nor over an existing file.
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    with pytest.raises(KsmrunError):
        write_container_key(tmp_path, ContainerKey("g", user=os.geteuid()), link)
    assert not target.exists()
