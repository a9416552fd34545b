"""What a container's engine knows of it: image, labels, Kubernetes namespace.

Nothing of it can change while the container is there, so each is asked for once. Files count only
if nobody but root can have written them.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from ksmrun.facts.containers import CRI_NAMESPACE, DRAWN_ID, JSON_BYTES_MAX
from ksmrun.model.process import Container
from ksmrun.model.trust import ContainerTraits
from ksmrun.support.foreign import drain, open_regular, raise_shortage
from ksmrun.support.state import distrust

CLIENT_SECONDS = 10.0
# An engine that has not answered is not asked for this long, whatever its containers are.
SILENT_SECONDS = 60.0
LABELS_MAX = 1000
# Engines with a client that shows all: its words, followed by the container's id.
CLIENTS = {
    "podman": ("podman", "container", "inspect"),
    "docker": ("docker", "container", "inspect"),
}
# Bundles of engines for Kubernetes; {} is the id.
BUNDLES = (
    "run/containerd/io.containerd.runtime.v2.task/k8s.io/{}/config.json",
    "run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/{}/config.json",
    "run/containers/storage/overlay-containers/{}/userdata/config.json",
)
# As in native/oci/tenant.c: the sign says which engine wrote the annotations.
CRI_SIGN, CRI_IMAGE = "io.kubernetes.cri.container-type", "io.kubernetes.cri.image-name"
CRI_O_LABELS, CRI_O_IMAGE = "io.kubernetes.cri-o.Labels", "io.kubernetes.cri-o.ImageName"
CRI_O_NAMESPACE = "io.kubernetes.cri-o.Namespace"
POD_NAMESPACE = "io.kubernetes.pod.namespace"


class ContainerReader:
    """Reader that remembers what it has found. asks: whether more than the cgroup is wanted."""

    def __init__(self, *, asks: bool, root: Path = Path("/")) -> None:
        self.asks = asks
        self._root = root
        self._known: dict[str, ContainerTraits] = {}
        self._silent_until: dict[str, float] = {}

    def __call__(self, container: Container) -> ContainerTraits:
        """Return the container's traits."""
        plain = ContainerTraits(container.engine, container.id)
        # Engines draw such ids and name the rest of it; other names are of engines without images.
        if not self.asks or DRAWN_ID.fullmatch(container.id) is None:
            return plain
        if container.id not in self._known:
            found = self._find(container)
            if not found.is_known:
                return found
            self._known[container.id] = found
        return self._known[container.id]

    def keep(self, ids: set[str]) -> None:
        """Forget all but these containers."""
        self._known = {each: found for each, found in self._known.items() if each in ids}

    def _find(self, container: Container) -> ContainerTraits:
        client = CLIENTS.get(container.engine or "")
        if client is not None:
            return self._ask(container, client)
        for bundle in BUNDLES:
            annotations = _trusted_json(self._root / bundle.format(container.id)).get("annotations")
            if isinstance(annotations, dict) and (found := of_annotations(container, annotations)):
                return found
        return _unknown(container)

    def _ask(self, container: Container, client: tuple[str, ...]) -> ContainerTraits:
        now = time.monotonic()
        if now >= self._silent_until.get(client[0], now):
            try:
                return _asked(container, client)
            except subprocess.TimeoutExpired:
                self._silent_until[client[0]] = time.monotonic() + SILENT_SECONDS
        return _unknown(container)


def _unknown(container: Container) -> ContainerTraits:
    return ContainerTraits(container.engine, container.id, is_known=False)


def of_annotations(container: Container, found: Mapping[str, Any]) -> ContainerTraits | None:
    """Return what a bundle's annotations say; None if no engine for Kubernetes wrote them.

    A pod's author may have added those of the other engine: with both signs nothing is believed.
    """
    is_cri, is_cri_o = CRI_SIGN in found, CRI_O_LABELS in found
    if is_cri == is_cri_o:
        return None
    if is_cri:
        image, namespace, labels = found.get(CRI_IMAGE), found.get(CRI_NAMESPACE), {}
    else:
        labels = _object(found[CRI_O_LABELS])
        image = found.get(CRI_O_IMAGE)
        namespace = found.get(CRI_O_NAMESPACE, labels.get(POD_NAMESPACE))
    return _traits(container, image, labels, namespace)


def _traits(
    container: Container, image: object, labels: Mapping[str, object], namespace: object = None
) -> ContainerTraits:
    pairs = (f"{key}={value}" for key, value in labels.items() if isinstance(value, str))
    return ContainerTraits(
        container.engine,
        container.id,
        image if isinstance(image, str) else None,
        tuple(islice(pairs, LABELS_MAX)),
        namespace if isinstance(namespace, str) else None,
    )


def _asked(container: Container, client: tuple[str, ...]) -> ContainerTraits:
    """Return what the engine's client says; not known if there is none, or it fails.

    Raises subprocess.TimeoutExpired.
    """
    try:
        done = subprocess.run(
            [*client, container.id],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=CLIENT_SECONDS,
            check=True,
            env={**os.environ, "LC_ALL": "C"},
        )
        (found,) = json.loads(done.stdout[:JSON_BYTES_MAX])
        config = found["Config"]
        # Docker's is in Config, Podman's beside it.
        image = found.get("ImageName", config.get("Image"))
        if found["Id"] != container.id:
            return _unknown(container)
        return _traits(container, image, config.get("Labels") or {})
    except OSError as error:
        raise_shortage(error)
    except (subprocess.CalledProcessError, ValueError, TypeError, KeyError, AttributeError):
        pass
    # JSON that is nested too deeply.
    except RecursionError:
        pass
    return _unknown(container)


def _trusted_json(file: Path) -> dict[str, Any]:
    """Return the object in a file of root's; empty if there is none, or others may write it."""
    try:
        descriptor = open_regular(file, follow=False)
        if distrust(descriptor):
            os.close(descriptor)
            return {}
        return _object(drain(descriptor, JSON_BYTES_MAX))
    except OSError as error:
        raise_shortage(error)
        return {}


def _object(text: object) -> dict[str, Any]:
    try:
        found = json.loads(text) if isinstance(text, str | bytes) else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
