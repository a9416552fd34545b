"""What is in each artefact: programs of the right machine, notices, lists of parts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from .unpacked import I386, I386_SHIM, MACHINES, artefacts, programs, unpack

VALIDATE = """
import sys
from pathlib import Path
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
for name in sys.argv[1:]:
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(Path(name).read_text())
    assert wrong is None, (name, wrong)
"""
# Part of each notice.
OWNERS = {
    "musl": "Rich Felker",
    "xxhash": "Yann Collet",
    "yyjson": "YaoYuan",
    "libcap": "Andrew G. Morgan",
}
# Suffixes of the files that hold programs, for each machine.
KINDS = {".whl": 2, ".deb": 2, ".rpm": 1, ".apk": 1, ".zst": 1, ".xz": 2}


@pytest.mark.parametrize("machine", MACHINES)
def test_programs_are_of_the_machine(machine: str, release: Path, tmp_path: Path) -> None:
    found = artefacts(release, machine)
    kinds = [each.suffix for each in found]
    assert {kind: kinds.count(kind) for kind in KINDS} == KINDS
    _, wanted = MACHINES[machine]
    for artefact in found:
        folder = unpack(artefact, tmp_path / artefact.name)
        for wheel in folder.rglob("*.whl"):
            unpack(wheel, wheel.with_suffix(".unpacked"))
        here = programs(folder)
        assert here, artefact
        for path, number in here.items():
            is_i386 = machine == "x86_64" and I386_SHIM in str(path)
            assert number == (I386 if is_i386 else wanted), (artefact.name, path)


@pytest.mark.parametrize("machine", MACHINES)
def test_packages_have_what_the_wheel_has(machine: str, release: Path, tmp_path: Path) -> None:
    """Launcher, shims and OCI runtime, by names that a packer could take for its variables."""

    def named(artefact: Path) -> set[str]:
        folder = unpack(artefact, tmp_path / artefact.name)
        (libexec,) = (path.parent for path in folder.rglob("libexec/**/ksmrun-exec"))
        return {str(path.relative_to(libexec)) for path in libexec.rglob("*") if path.is_file()}

    (wheel,) = release.glob(f"ksmrun-*{machine}.whl")
    wanted = named(wheel) - {"ksmrun-attach", "ksmrun-estimate"}
    assert any("$PLATFORM" in name for name in wanted)
    for artefact in artefacts(release, machine):
        if artefact.name.startswith("ksmrun-exec"):
            assert named(artefact) >= wanted, artefact


@pytest.mark.parametrize("machine", MACHINES)
def test_notices_and_lists_of_parts(
    machine: str, tools: Path, release: Path, tmp_path: Path
) -> None:
    """Whatever is linked in is named with its version, and its notice is there."""
    documents = []
    for artefact in artefacts(release, machine):
        folder = unpack(artefact, tmp_path / artefact.name)
        texts = [p.read_text(errors="replace") for p in folder.rglob("*") if p.is_file()]
        # Its own; those of the wheels that a package brings are deeper.
        found = sorted(folder.rglob("*.cdx.json"), key=lambda path: len(path.parts))
        documents += found
        document = found[0]
        parts = {each["name"]: each for each in json.loads(document.read_text())["components"]}
        if artefact.suffix == ".whl" and artefact.name.startswith("ksmrun"):
            assert {"musl", "xxhash", "yyjson", "typer", "rich", "psutil"} <= parts.keys()
            assert parts["yyjson"]["version"] == "0.10.0"
        elif artefact.suffix == ".whl":
            assert parts.keys() == {"libcap"}
        elif artefact.name.startswith("ksmrun-exec"):
            assert parts.keys() == {"musl", "yyjson"}
        else:
            assert {"python-prctl", "typer", "markdown-it-py"} <= parts.keys()
            assert all(each["version"] for each in parts.values())
        if "wheelhouse" not in artefact.name:
            for name in parts.keys() & {"musl", "xxhash", "yyjson", "libcap"}:
                assert any(OWNERS[name] in each for each in texts), (artefact.name, name)
    assert len(documents) > sum(KINDS.values())
    subprocess.run([tools / "python", "-c", VALIDATE, *documents], check=True)


def test_the_metadata_is_complete(tools: Path, release: Path) -> None:
    """While there is no public address, pyroma misses it."""
    (sdist,) = release.glob("ksmrun-*.tar.gz")
    done = subprocess.run(
        [tools / "pyroma", "--min=9", "--file", sdist], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert "Final rating: 9/10" in done.stdout


@pytest.mark.parametrize("machine", MACHINES)
def test_lintian(machine: str, release: Path) -> None:
    """Only the bug report that asks Debian for the package is missing."""
    debian, _ = MACHINES[machine]
    debs = sorted(release.glob(f"*_{debian}.deb"))
    assert len(debs) == 2
    command = ["lintian", "--fail-on", "error,warning", "--allow-root", "--suppress-tags", ITP]
    done = subprocess.run([*command, *debs], stdout=subprocess.PIPE, text=True)
    assert (done.returncode, done.stdout) == (0, "")


ITP = "initial-upload-closes-no-bugs"
