"""Unit, container and job of a process, from its cgroup path. Pure; gives ids, not names."""

from __future__ import annotations

import re
from functools import lru_cache

from ksmrun.facts.cgroup import hierarchies
from ksmrun.facts.job import job_of
from ksmrun.model.process import Container, Placement
from ksmrun.support.unitname import unescaped

# Prefixes that engines put before the id; processes beside the container (conmon) lack them.
ENGINES = {
    "docker": "docker",
    "libpod": "podman",
    "libpod-payload": "podman",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "cri-o",
}
ID = re.compile(r"(?:(?P<prefix>[a-z][a-z0-9_.-]*)[-:])?(?P<id>[0-9a-f]{64})(?:\.scope)?")
# Kubelet's: the uid with dashes, with underscores for systemd, without any for static pods.
POD = re.compile(
    r"(?:.*-)?pod(?P<uid>[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?"
)
# Engines whose ids are the names that the user gave.
NAMED = (
    ("systemd-nspawn", re.compile(r"systemd-nspawn@(?P<id>.+)\.service")),
    ("machined", re.compile(r"machine-(?P<id>.+)\.scope")),
    ("lxc", re.compile(r"lxc\.payload\.(?P<id>.+)")),
)
# Their cgroup is PARENT/NAME: LXC, and containerd's own client in its default namespace.
PARENTS = {"lxc": "lxc", "lxc.payload": "lxc", "default": "containerd"}
# Unit types with processes of their own: FUSE's run in a mount (systemd.unit(5)).
UNIT = re.compile(r".+\.(?:service|scope|mount|socket|swap)")
ESCAPED = re.compile(r"\\x([0-9a-f]{2})")


@lru_cache(maxsize=1000)
def placement(cgroup: str) -> Placement:
    """Return the placement from the text of /proc/PID/cgroup (cgroups(7))."""
    paths = list(hierarchies(cgroup))
    # Among v1's hierarchies systemd has one of its own; v2 has only one.
    own = [path for names, path in paths if names in (["name=systemd"], [""])]
    found = (container_of(path) for _, path in paths)
    return Placement(
        unit=next((unit for unit in map(unit_of, own) if unit is not None), None),
        container=next((container for container in found if container is not None), None),
        job=next((job for _, path in paths if (job := job_of(path)) is not None), None),
    )


def unit_of(path: str) -> str | None:
    """Return the unit of the host's systemd; for a user's manager, its unit behind a slash."""
    parts = [unescaped(part) for part in _parts(path) if not part.endswith(".slice")]
    if not parts or not UNIT.fullmatch(parts[0]):
        return None
    if not parts[0].startswith("user@"):
        return parts[0]
    below = next((part for part in parts[1:] if UNIT.fullmatch(part)), None)
    return parts[0] if below is None else f"{parts[0]}/{below}"


def container_of(path: str) -> Container | None:
    """Return the innermost container on this path."""
    parts = _parts(path)
    pod, found = None, None
    for index, part in enumerate(parts):
        parent = parts[index - 1] if index else None
        if match := POD.fullmatch(part.split(":")[0]):
            pod = match["uid"].replace("_", "-")
        found = _container(part, parent, pod, is_second=index == 1) or found
    return found


def _container(
    part: str, parent: str | None, pod: str | None, *, is_second: bool
) -> Container | None:
    # A runtime that does not use systemd turns systemd's notation into a folder SLICE:PREFIX:ID.
    if match := ID.fullmatch(part.split(":", 1)[1] if part.count(":") == 2 else part):
        prefix = match["prefix"]
        if prefix is None:
            return Container(_engine_of(parent, pod), match["id"], pod)
        if prefix.endswith("conmon"):
            return None
        return Container(ENGINES.get(prefix, prefix), match["id"], pod)
    for engine, pattern in NAMED:
        if match := pattern.fullmatch(part):
            return Container(engine, _unescape(match["id"]))
    if is_second and parent in PARENTS and not UNIT.fullmatch(part):
        return Container(PARENTS[parent], part)
    return None


def _engine_of(parent: str | None, pod: str | None) -> str | None:
    """Return the engine of an id without a prefix, as cgroupfs drivers write it."""
    if parent == "docker":
        return "docker"
    # In a pod it may be any CRI's; beside crio's prefix and Docker's folder it is containerd's.
    return "containerd" if pod is not None or parent in ("default", "k8s.io") else None


def _parts(path: str) -> list[str]:
    # A deleted cgroup is shown so (cgroup_path_ns in kernel/cgroup/cgroup.c); ".." leads out of the
    # reader's cgroup namespace.
    clean = path.removesuffix(" (deleted)").split("/")
    return [part for part in clean if part not in ("", "..")]


def _unescape(text: str) -> str:
    """Undo systemd-escape(1)."""
    return ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
