"""Lines that add ksmrun-oci as a runtime to a configuration of containerd's CRI plugin. Pure.

A file's table of runtimes replaces the default one (1.6 and 1.7 decode it into an empty map), and
without the runtime of default_runtime_name the CRI plugin does not load: so runc is printed too.
"""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from ksmrun.model.errors import KsmrunError
from ksmrun.model.wrap import OCI_BY_REQUEST, OCI_RUNTIME
from ksmrun.wrap.header import comment

ALL, BY_REQUEST = "ksmrun", "ksmrun-by-request"
BEGIN, END = "# ksmrun: begin", "# ksmrun: end"
TYPE = "io.containerd.runc.v2"
# Names of the CRI plugin, by version of the file (containerd-config.toml(5)). Newer releases of
# containerd accept older versions too, except 1.
OF_2 = "io.containerd.cri.v1.runtime"
CRI = {1: "cri", 2: "io.containerd.grpc.v1.cri", 3: OF_2, 4: OF_2}
# Assumed if a file names no version (cmd/containerd/server/config: a missing one is 1).
VERSION_OF_NEW, VERSION_OF_OLD = 2, 1
# Keys of runc's table that its copies must not have.
OWN_KEYS = ("runtime_type", "runtime_path", "pod_annotations", "container_annotations", "options")


def lines_for(text: str | None, file: str, *, default: bool) -> tuple[str, tuple[str, ...]]:
    """Return the lines to append, and notes. Raises KsmrunError if they cannot be appended.

    text: of the configuration; None if there is none. default: make it the default runtime too.
    """
    old = text or ""
    settings = _parsed(old, file)
    version = settings.get("version", VERSION_OF_OLD) if old.strip() else VERSION_OF_NEW
    if not isinstance(version, int) or version not in CRI:
        known = ", ".join(map(str, CRI))
        raise KsmrunError(
            f"{file} has the unknown version {version!r}", f"set version to a known one: {known}"
        )
    containerd = _table(settings, "plugins", CRI[version], "containerd")
    runtimes = _table(containerd, "runtimes")
    if ALL in runtimes or BY_REQUEST in runtimes:
        raise KsmrunError(f"{file} already has the runtime {ALL}", f"first: {_undo(file)}")
    top = f"plugins.{_key(CRI[version])}.containerd"
    lines = [] if old.strip() else [f"version = {VERSION_OF_NEW}"]
    notes = [f"add it at the end of {file}, then: sudo systemctl restart containerd"]
    if default and not _defines(old, top):
        lines += [f"[{top}]", f'default_runtime_name = "{BY_REQUEST}"']
    elif default:
        was = containerd.get("default_runtime_name", "runc")
        notes.append(
            f'in its table [{top}]: default_runtime_name = "{BY_REQUEST}" (to undo it: "{was}")'
        )
    runc = _table(runtimes, "runc")
    if not runc:
        lines += [f"[{top}.runtimes.runc]", f'runtime_type = "{TYPE}"']
    for name, path in ((ALL, OCI_RUNTIME), (BY_REQUEST, OCI_BY_REQUEST)):
        lines += _runtime(f"{top}.runtimes.{name}", path, runc)
    added = "\n".join([BEGIN, comment(f"To remove it: {_undo(file)}").rstrip(), *lines, END, ""])
    try:
        tomllib.loads(f"{old}\n{added}")
    except tomllib.TOMLDecodeError as error:
        raise KsmrunError(
            f"the lines cannot be added to the end of {file}: {error}",
            f"write each [{top}.runtimes.NAME] there as a table of its own, not in braces",
        ) from error
    return added, (*notes, *_warnings(settings, version, file))


def _runtime(table: str, path: PurePath, runc: Mapping[str, Any]) -> Iterator[str]:
    """Yield a runtime's table: runc's from the file, with another program."""
    annotations = '["ksmrun.*"]'
    yield f"[{table}]"
    yield f'runtime_type = "{TYPE}"'
    yield f"pod_annotations = {annotations}"
    yield f"container_annotations = {annotations}"
    yield from _copied(runc, OWN_KEYS)
    yield f"[{table}.options]"
    yield f'BinaryName = "{path}"'
    yield from _copied(_table(runc, "options"), ("BinaryName",))


def _copied(table: Mapping[str, Any], but: tuple[str, ...]) -> Iterator[str]:
    """Yield a copy; strings, numbers, booleans and lists of these are the same in TOML and JSON."""
    for key, value in table.items():
        if key not in but and not isinstance(value, dict):
            yield f"{_key(key)} = {json.dumps(value)}"


def _warnings(settings: Mapping[str, Any], version: int, file: str) -> Iterator[str]:
    off = settings.get("disabled_plugins", ())
    if "cri" in off or CRI[version] in off:
        yield f"{file} has the CRI plugin among disabled_plugins: Kubernetes needs it out of there"
    if settings.get("imports"):
        yield f"{file} imports other files: one with a table of the CRI plugin replaces these lines"
    yield (
        f"look first: `sudo containerd --config {file} config dump` shows runc and {ALL} among the"
        " runtimes; afterwards `sudo ctr plugins ls` shows the CRI plugin as ok"
    )
    yield f"to undo it: {_undo(file)}; sudo systemctl restart containerd"


def _undo(file: str) -> str:
    return f"sudo sed -i '/^{BEGIN}$/,/^{END}$/d' {shlex.quote(file)}"


def _defines(text: str, table: str) -> bool:
    """Return whether the file defines the table itself; TOML forbids a second definition."""
    try:
        tomllib.loads(f"{text}\n[{table}]\n")
    except tomllib.TOMLDecodeError:
        return True
    return False


def _parsed(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise KsmrunError(f"{file} is not valid TOML: {error}", "fix the file") from error


def _table(of: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """Return a nested table; empty if missing."""
    for key in keys:
        found = of.get(key)
        of = found if isinstance(found, dict) else {}
    return of


def _key(name: str) -> str:
    """Return the key, quoted if TOML would take its dots for tables."""
    return name if name.replace("_", "").replace("-", "").isalnum() else json.dumps(name)
