"""Lines for containerd's CRI plugin, appended to what a file has."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from ksmrun.model.errors import KsmrunError
from ksmrun.model.wrap import OCI_BY_REQUEST, OCI_RUNTIME
from ksmrun.wrap.containerd import BEGIN, BY_REQUEST, END, lines_for

V2 = 'plugins."io.containerd.grpc.v1.cri"'
V3 = 'plugins."io.containerd.cri.v1.runtime"'
# As in the package of Debian 12 and 13.
DEBIAN = f'version = 2\n[plugins]\n  [{V2}]\n    [{V2}.cni]\n      bin_dir = "/usr/lib/cni"\n'
RUNC = f"""
[{V2}.containerd]
  default_runtime_name = "runc"
  [{V2}.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    privileged_without_host_devices = true
    [{V2}.containerd.runtimes.runc.options]
      BinaryName = "/opt/runc"
      SystemdCgroup = true
"""
FILES: dict[str, tuple[str | None, str]] = {
    "none": (None, "io.containerd.grpc.v1.cri"),
    "empty": ("\n", "io.containerd.grpc.v1.cri"),
    "version 1": ('disabled_plugins = ["cri"]\n', "cri"),
    "Debian": (DEBIAN, "io.containerd.grpc.v1.cri"),
    "Debian with runc": (DEBIAN + RUNC, "io.containerd.grpc.v1.cri"),
    "version 3": (f"version = 3\n[{V3}]\nx = 1\n", "io.containerd.cri.v1.runtime"),
    "version 4": (f"version = 4\n[{V3}]\nx = 1\n", "io.containerd.cri.v1.runtime"),
    "3 with runc": ("version = 3\n" + RUNC.replace(V2, V3), "io.containerd.cri.v1.runtime"),
}


def together(text: str | None, plugin: str, *, default: bool = False) -> dict[str, Any]:
    """Return what containerd reads from the file with the lines appended."""
    added, _ = lines_for(text, "f.toml", default=default)
    settings = tomllib.loads((text or "") + added)
    found: dict[str, Any] = settings["plugins"][plugin]["containerd"]
    return found


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("default", [False, True])
def test_runc_stays_beside_ours(name: str, default: bool) -> None:
    """containerd's file replaces its default table of runtimes, and the default one is runc."""
    text, plugin = FILES[name]
    found = together(text, plugin, default=default)
    assert found["runtimes"]["runc"]["runtime_type"] == "io.containerd.runc.v2"
    for runtime, path in (("ksmrun", OCI_RUNTIME), (BY_REQUEST, OCI_BY_REQUEST)):
        assert found["runtimes"][runtime]["options"]["BinaryName"] == str(path)
        assert found["runtimes"][runtime]["pod_annotations"] == ["ksmrun.*"]
    names = {found.get("default_runtime_name", "runc")}
    assert names <= {"runc", BY_REQUEST} and names <= set(found["runtimes"])


def test_what_the_file_says_of_runc_holds_for_ours() -> None:
    """Above all SystemdCgroup: kubelet and runtime must agree on who manages cgroups."""
    ours = together(DEBIAN + RUNC, "io.containerd.grpc.v1.cri")["runtimes"]["ksmrun"]
    assert ours["options"]["SystemdCgroup"] is True
    assert ours["privileged_without_host_devices"] is True


def test_a_default_that_stands_in_the_file_is_named() -> None:
    added, notes = lines_for(DEBIAN + RUNC, "f.toml", default=True)
    assert "default_runtime_name" not in added
    assert any(f'"{BY_REQUEST}" (to undo it: "runc")' in note for note in notes)
    assert 'default_runtime_name = "ksmrun-by-request"' in lines_for(DEBIAN, "f", default=True)[0]


def test_the_lines_can_be_taken_out_by_their_marks() -> None:
    added, notes = lines_for(DEBIAN, "f.toml", default=True)
    assert re.sub(f"(?ms)^{BEGIN}$.*^{END}$\n", "", DEBIAN + added) == DEBIAN
    assert any(note.startswith("to undo it: sudo sed -i ") for note in notes)


def test_what_is_to_be_known_of_the_file() -> None:
    assert "disabled_plugins" in " ".join(lines_for(FILES["version 1"][0], "f", default=False)[1])
    text = 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n'
    assert "imports other files" in " ".join(lines_for(text, "f", default=False)[1])


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("version = 2\n[", "not valid TOML"),
        ("version = 9\n", "unknown version 9"),
        ("version = [2]\n", "unknown version"),
        (f"version = 2\n[{V2}.containerd]\nruntimes = {{}}\n", "cannot be added to the end"),
        (DEBIAN + lines_for(DEBIAN, "f", default=False)[0], "already"),
    ],
)
def test_files_that_the_lines_do_not_fit(text: str, part: str) -> None:
    with pytest.raises(KsmrunError, match=part):
        lines_for(text, "f.toml", default=False)
