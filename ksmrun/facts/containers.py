"""Name of a container, found without its engine's client; else the start of its id.

For pods it is in kubelet's log folder. Otherwise it comes from the process that monitors the
container: conmon (Podman, CRI-O) has the name among its arguments, and containerd's shim works in
the bundle's folder.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ksmrun.facts.stat import COMMAND_BYTES_MAX
from ksmrun.facts.text import parse_fields, parse_int, read_text
from ksmrun.model.process import PAUSE, Container
from ksmrun.support.foreign import read_bytes

SHORT_DIGITS = 12
# Annotations of containerd's CRI plugin (pod, container) and of nerdctl.
CRI_POD = "io.kubernetes.cri.sandbox-name"
CRI_NAMESPACE = "io.kubernetes.cri.sandbox-namespace"
CRI_CONTAINER = "io.kubernetes.cri.container-name"
CRI_TYPE = "io.kubernetes.cri.container-type"
# Annotations of CRI-O, for a pod and its containers: k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT.
CRI_O = "io.kubernetes.cri-o.Name"
# Files of the engines, used if nothing else has the name; {} is the id.
SPECS = (
    "run/containerd/io.containerd.runtime.v2.task/k8s.io/{}/config.json",
    "run/containerd/io.containerd.runtime.v2.task/moby/{}/config.json",
    "run/containerd/io.containerd.runtime.v2.task/default/{}/config.json",
    "run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/{}/config.json",
    "run/containers/storage/overlay-containers/{}/userdata/config.json",
)
DOCKER = "var/lib/docker/containers"
NERDCTL = "nerdctl/name"
JSON_BYTES_MAX = 4 << 20
NAME_MAX = 255
ANCESTORS_MAX = 100
# Engines generate such ids; anything else is a name of the user's own, and never part of a path.
DRAWN_ID = re.compile(r"[0-9a-f]{64}")


def container_name(container: Container, pid: int, root: Path = Path("/")) -> str:
    """Return the name of the container of this process. For a pod it is NAMESPACE/POD/CONTAINER."""
    if DRAWN_ID.fullmatch(container.id) is None:
        return container.id[:NAME_MAX]
    name = _name_in_logs(container.id, root) if container.pod else None
    name = name or _name_by_keeper(container.id, pid, root) or _name_on_disk(container.id, root)
    return (name or container.id[:SHORT_DIGITS])[:NAME_MAX]


def _name_in_logs(container_id: str, root: Path) -> str | None:
    """Return the name from kubelet's links POD_NAMESPACE_CONTAINER-ID.log."""
    found = next((root / "var/log/containers").glob(f"*-{container_id}.log"), None)
    parts = [] if found is None else found.name.removesuffix(f"-{container_id}.log").split("_")
    return f"{parts[1]}/{parts[0]}/{parts[2]}" if len(parts) == 3 else None


def _name_by_keeper(container_id: str, pid: int, root: Path) -> str | None:
    for ancestor in itertools.islice(_ancestors(pid, root), ANCESTORS_MAX):
        line = root / f"proc/{ancestor}/cmdline"
        words = (read_text(line, COMMAND_BYTES_MAX) or "").split("\0")
        program = Path(words[0]).name
        if program == "conmon" and container_id in words:
            return _named_by_cri_o(_after(words, "-n"))
        if program.startswith("containerd-shim"):
            return _name_in_bundle(container_id, root / f"proc/{ancestor}/cwd")
    return None


def _name_on_disk(container_id: str, root: Path) -> str | None:
    """Return the name from the engine's files.

    Needed if the monitoring process belongs to another user or has other arguments, as conmon-rs
    and cri-dockerd do.
    """
    for place in SPECS:
        if name := _name_in_spec(container_id, _json(root / place.format(container_id))):
            return name
    return _docker_name(root / DOCKER / container_id)


def _ancestors(pid: int, root: Path) -> Iterator[int]:
    """Yield the ancestors of a process.

    Monitors are subreapers (prctl(2)), so they are among them.
    """
    seen = set()
    while pid not in seen:
        seen.add(pid)
        parent = parse_fields(read_text(root / f"proc/{pid}/status") or "").get("PPid", "")
        above = parse_int(parent)
        if not above:
            return
        pid = above
        yield pid


def _after(words: list[str], option: str) -> str | None:
    return next((b for a, b in itertools.pairwise(words) if a == option), None)


def _named_by_cri_o(name: str | None) -> str | None:
    """Return the pod's name from k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT; None for other names.

    A pause container is called POD. Docker below cri-dockerd uses such names too; Podman's names
    are chosen by the user.
    """
    parts = (name or "").split("_")
    if len(parts) == 6 and parts[0] == "k8s":
        return f"{parts[3]}/{parts[2]}/{parts[1]}"
    return name or None


def _name_in_bundle(container_id: str, shim_folder: Path) -> str | None:
    """Return the name from the container's bundle. A pod's shim has several, side by side."""
    return _name_in_spec(container_id, _json(shim_folder / ".." / container_id / "config.json"))


def _name_in_spec(container_id: str, spec: dict[str, Any]) -> str | None:
    annotations, mounts = spec.get("annotations"), spec.get("mounts")
    if isinstance(annotations, dict) and (name := _name_in_annotations(annotations)):
        return name
    # Docker's name is in its own folder of the container, from which it mounts files; a container
    # in another's network mounts the other's files, and its own folder is beside that.
    for mount in mounts if isinstance(mounts, list) else ():
        source = Path(str(mount.get("source", ""))) if isinstance(mount, dict) else Path()
        if source.is_absolute() and DRAWN_ID.fullmatch(source.parent.name):
            # Checked once only: the list may be long, and anybody can make it.
            return _docker_name(source.parent.with_name(container_id))
    return None


def _name_in_annotations(annotations: dict[str, Any]) -> str | None:
    is_pause = annotations.get(CRI_TYPE) == "sandbox"
    if is_pause or CRI_CONTAINER in annotations:
        last = PAUSE if is_pause else str(annotations[CRI_CONTAINER])
        pod = [str(annotations.get(key, "")) for key in (CRI_NAMESPACE, CRI_POD)]
        return "/".join([*pod, last])
    if annotations.get(CRI_O):
        return _named_by_cri_o(str(annotations[CRI_O]))
    return str(annotations[NERDCTL]) if annotations.get(NERDCTL) else None


def _docker_name(folder: Path) -> str | None:
    name = str(_json(folder / "config.v2.json").get("Name", "")).removeprefix("/")
    return _named_by_cri_o(name)


def _json(file: Path) -> dict[str, Any]:
    """Return the object in a file; empty if it is unreadable or none.

    Anybody may have written it.
    """
    try:
        found = json.loads(read_bytes(file, JSON_BYTES_MAX))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
