"""Keys for containers: each is derived from its group's key and readable by one user."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import re
from collections.abc import Iterator
from pathlib import Path

from ksmrun.host.layout_keys import group_key
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.model.wrap import ContainerKey
from ksmrun.support.folders import make_folder
from ksmrun.support.safefile import create_file, replace_file
from ksmrun.support.words import shortened

# Namespace names of Kubernetes (RFC 1123).
NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
USER_MAX = (1 << 32) - 2


def derived_key(folder: Path, key: ContainerKey) -> bytes:
    """Derive the key from the group's, as ksmrun-oci does."""
    if key.namespace is not None and NAMESPACE.fullmatch(key.namespace) is None:
        raise UsageError(
            f"--namespace={shortened(key.namespace)} is not a valid name of a Kubernetes namespace",
            "give up to 63 lower-case letters, digits and dashes, as `kubectl get ns` shows it",
        )
    if not 0 <= key.user <= USER_MAX:
        raise UsageError(
            f"--user={key.user} is not a user ID",
            "give the number that `id -u USER` shows on the host",
        )
    return hmac.digest(group_key(folder, key.group), key.scope.encode(), hashlib.sha256)


def write_container_key(folder: Path, key: ContainerKey, output: Path | None) -> Path:
    """Write the key, readable by its user alone. Raises KsmrunError if the file exists."""
    data = derived_key(folder, key)
    file = folder / key.relative_path if output is None else output
    try:
        make_folder(file.parent, 0o700)
        create_file(file, data, 0o400, owner=key.user)
    except OSError as error:
        raise KsmrunError(
            f"cannot write {file}: {error.strerror}",
            "renew the keys that exist with `sudo ksmrun layout rotate`, or give another --output"
            if error.errno == errno.EEXIST
            else "check the permissions and free space of its folder",
        ) from error
    return file


def renew_container_keys(folder: Path) -> None:
    """Rewrite the keys in their usual places. Running containers keep the ones that they have."""
    for key in _written(folder):
        file = folder / key.relative_path
        try:
            replace_file(file, derived_key(folder, key), 0o400, owner=key.user)
        except OSError as error:
            raise KsmrunError(
                f"cannot write {file}: {error.strerror}",
                "check the permissions and free space of its folder",
            ) from error


def _written(folder: Path) -> Iterator[ContainerKey]:
    for file in (folder / "containers").rglob("*.key"):
        group, _, user = file.stem.rpartition(".")
        namespace = file.parent.name if file.parent.parent.name == "namespaces" else None
        with contextlib.suppress(ValueError):
            key = ContainerKey(group, namespace, int(user))
            if folder / key.relative_path == file:
                yield key
