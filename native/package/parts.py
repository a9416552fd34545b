"""Parts that an artefact has or depends on: other people's code, and Python packages."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path

from machines import Toolchain
from packageurl import PackageURL

# Rows of native/third_party/README.md: folder, what, version, where from, licence.
ROW = re.compile(
    r"^\| `(\w+)/` \|.*\(https://github\.com/(\w+)/(\w+)\) \| (\S+) \|.*\| ([\w-]+), `"
)
LICENCES = {"musl": "MIT", "libcap": "BSD-3-Clause OR GPL-2.0-only"}
# Of packages whose metadata has no licence but a classifier or a name of its own.
NAMED = {"python-prctl": "GPL-3.0-or-later"}
OF_DEVELOPERS = ("test", "bench")
# A requirement of a wheel: name, versions, and under which condition.
REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[^]]*\])? *([^;]*?) *(?:; *(.*))?")


@dataclass(frozen=True)
class Part:
    """A part; what is only depended on has a range of versions instead of one and its bytes."""

    name: str
    version: str | None
    licence: str | None
    url: PackageURL | None
    sha256: str | None = None
    versions: str = ""
    requirements: tuple[str, ...] = ()
    is_optional: bool = False

    def requires(self) -> Iterator[Part]:
        """Yield what pip installs beside it."""
        for line in self.requirements:
            found = REQUIREMENT.fullmatch(line)
            if found is None:
                raise SystemExit(f"{self.name} requires {line!r}, which is no requirement")
            name, versions, condition = found.groups()
            extra = re.search(r"extra == .(\w+)", condition or "")
            if extra is None or extra[1] not in OF_DEVELOPERS:
                url = PackageURL("pypi", name=name.lower())
                yield Part(name, None, None, url, versions=versions, is_optional=extra is not None)


def vendored(table: Path) -> list[Part]:
    """Return the code in native/third_party."""
    found = [row for line in table.read_text().splitlines() if (row := ROW.match(line))]
    folders = {path.name for path in table.parent.iterdir() if path.is_dir()} - {"musl"}
    if {row[1] for row in found} != folders:
        raise SystemExit(f"{table} describes other folders than there are: {sorted(folders)}")
    return [
        Part(row[1], row[4], row[5], PackageURL("github", row[2].lower(), row[3].lower(), row[4]))
        for row in found
    ]


def of_toolchain(tools: Toolchain, name: str) -> Part:
    """Return a static library that is linked in."""
    version = tools.versions[f"{name}-dev"]
    qualifiers = {"arch": tools.machine.debian}
    return Part(
        name, version, LICENCES[name], PackageURL("deb", "debian", name, version, qualifiers)
    )


def of_wheel(wheel: Path) -> Part:
    """Return a Python package as its wheel describes it."""
    metadata = _metadata(wheel)
    name, version = metadata["Name"].lower(), metadata["Version"]
    licence = metadata["License-Expression"] or NAMED.get(name) or _licence(metadata)
    return Part(
        name,
        version,
        licence,
        PackageURL("pypi", name=name, version=version),
        hashlib.sha256(wheel.read_bytes()).hexdigest(),
        requirements=tuple(metadata.get_all("Requires-Dist", [])),
    )


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as file:
        (name,) = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(file.read(name).decode())


def _licence(metadata: Message) -> str | None:
    """Return the licence of a package that does not name it as SPDX does."""
    if metadata["License"]:
        return str(metadata["License"]).partition("\n")[0]
    named = [each for each in metadata.get_all("Classifier", []) if each.startswith("License ::")]
    return str(named[0]).rpartition(" :: ")[2] if named else None
