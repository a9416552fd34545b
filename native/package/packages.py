"""Packages of ksmrun-exec, for hosts without Python, and of ksmrun for Debian; nfpm packs them."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

from commands import date, pack, run, tool
from machines import Toolchain
from parts import Part, of_toolchain, of_wheel, vendored
from release import Release, debian_changelog
from sbom import document

PACKAGE = Path(__file__).resolve().parent
FORMATS = ("deb", "rpm", "apk", "archlinux")
NATIVE_PAGES = ("man1/ksmrun-exec.1", "man8/ksmrun-oci.8")
# Programs that Python starts, and so belong to it.
OF_PYTHON = ("ksmrun-attach", "ksmrun-estimate")
PYTHON_NOTICES = """== Python packages in /usr/lib/ksmrun/python

Each has its notice in NAME-VERSION.dist-info there, or in its files. The text of the GPL is also
in /usr/share/common-licenses/GPL-3.

"""
# What the front `ksmrun`, which lies beside it, starts; see native/front/ksmrun.c.
SCRIPT = """#!/usr/bin/python3
import sys
sys.path.insert(0, "/usr/lib/ksmrun/python")
from ksmrun.__main__ import main
sys.exit(main())
"""


def build_packages(
    wheel: Path, house: Path, tools: Toolchain, scratch: Path, dist: Path, release: Release
) -> None:
    """Build all packages of one machine."""
    machine = tools.machine
    third_party = vendored(scratch.parent / "sources/native/third_party/README.md")
    parts = [of_toolchain(tools, "musl"), *third_party]
    texts = notices(wheel)
    natives = scratch / f"ksmrun-exec-{release.version}-{machine.name}"
    unpack_natives(wheel, natives)
    # ksmrun-estimate alone hashes with it.
    linked = [part for part in parts if part.name != "xxhash"]
    document_files("ksmrun-exec", natives, linked, texts, release)
    pack(natives, dist / f"{natives.name}.tar.xz", release.seconds)
    whole = scratch / "ksmrun"
    unpack_python(house, whole)
    packages = [of_wheel(each) for each in sorted(house.glob("*.whl"))]
    document_files("ksmrun", whole, [*parts, *packages], texts, release)
    for config, root, formats in (
        ("ksmrun-exec.yaml", natives, FORMATS),
        ("ksmrun.yaml", whole, ("deb",)),
    ):
        compress_pages(root)
        date(root, release.seconds)
        variables = {
            **release.environment,
            "VERSION": release.version,
            "ARCH": machine.debian,
            "ROOT": str(root),
            "MAINTAINER": release.maintainer,
        }
        for name in formats:
            command = ("package", "--config", PACKAGE / config, "--packager", name)
            run(tool("nfpm"), *command, "--target", dist, folder=PACKAGE, environment=variables)


def unpack_natives(wheel: Path, root: Path) -> None:
    """Put the programs that need no Python, with their manual pages, below root."""

    def place(name: str) -> str | None:
        folder, _, rest = name.partition("/libexec/")
        if folder == "ksmrun":
            return None if rest in OF_PYTHON else f"libexec/ksmrun/{rest}"
        for page in NATIVE_PAGES:
            if name.endswith(f"/share/man/{page}"):
                return f"share/man/{page}"
        return None

    unpack(wheel, root, place)


def unpack_python(wheels: Path, root: Path) -> None:
    """Put ksmrun and the packages that it imports below root."""
    for wheel in sorted(wheels.glob("*.whl")):

        def place(name: str, is_own: bool = wheel.name.startswith("ksmrun-")) -> str | None:
            _, _, program = name.partition("ksmrun/libexec/")
            if is_own and program:
                return f"libexec/ksmrun/{program}" if program in OF_PYTHON else None
            if ".data/" not in name:
                return f"lib/ksmrun/python/{name}"
            _, _, data = name.partition(".data/")
            if not is_own or data.endswith(NATIVE_PAGES):
                return None
            if data == "scripts/ksmrun":
                return "libexec/ksmrun/ksmrun"
            # Where Debian's zsh looks.
            data = data.replace("/zsh/site-functions/", "/zsh/vendor-completions/")
            return data.removeprefix("data/") if "/share/" in data else None

        unpack(wheel, root, place)
    script = root / "libexec/ksmrun/.ksmrun-py"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    unit = root / "lib/systemd/system/ksmrun-monitor.service"
    unit.parent.mkdir(parents=True)
    unit.write_text(monitor_unit((root / "lib/ksmrun/python/ksmrun/watch" / unit.name).read_text()))


def monitor_unit(template: str) -> str:
    """Return the monitor's unit, whose options are all in /etc/ksmrun/config.toml."""
    _, options, rest = template.partition("# Options: ")
    if not options or "@COMMAND@" not in rest:
        raise SystemExit("ksmrun-monitor.service has other lines; look at monitor_unit()")
    start = (
        "# Written by `ksmrun monitor --print-unit` for this package. To start it: systemctl "
        "enable --now ksmrun-monitor\n"
    )
    text = start + options + rest.replace(", and remove this file.", ".")
    return text.replace("@COMMAND@", "/usr/bin/ksmrun monitor")


def unpack(wheel: Path, root: Path, place: Callable[[str], str | None]) -> None:
    """Unpack a wheel's files to where `place` says they belong below root, if anywhere."""
    with zipfile.ZipFile(wheel) as file:
        for entry in file.infolist():
            name = place(entry.filename)
            if name is None or entry.is_dir():
                continue
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.read(entry))
            path.chmod(0o755 if entry.external_attr >> 16 & 0o111 else 0o644)


def notices(wheel: Path) -> dict[str, str]:
    """Return the notices in ksmrun's wheel, by the name of the part."""
    found = {}
    with zipfile.ZipFile(wheel) as file:
        for name in file.namelist():
            _, is_notice, rest = name.partition(".dist-info/licenses/")
            if is_notice:
                found[Path(rest).parent.name or "ksmrun"] = file.read(name).decode()
    return found


def document_files(
    package: str, root: Path, parts: list[Part], texts: dict[str, str], release: Release
) -> None:
    """Add what Debian wants of a package, all notices, and the list of parts."""
    folder = root / "share/doc" / package
    folder.mkdir(parents=True, exist_ok=True)
    changelog = debian_changelog(package, release).encode()
    (folder / "changelog.gz").write_bytes(gzip.compress(changelog, mtime=0))
    subject = Part(package, release.version, "MIT", None)
    (folder / f"{package}.cdx.json").write_text(document(subject, parts, release))
    names = [
        "ksmrun",
        *(part.name for part in parts if part.name in texts and part.name != package),
    ]
    sections = [f"== {name}\n\n{texts[name]}" for name in dict.fromkeys(names)]
    others = [part for part in parts if part.name not in texts]
    if others:
        lines = [f"{part.name} {part.version}: {part.licence}\n" for part in others]
        sections.append(f"{PYTHON_NOTICES}{''.join(lines)}")
    (folder / "copyright").write_text("\n".join(sections))


def compress_pages(root: Path) -> None:
    """Compress the manual pages, as Debian wants them, and others read them."""
    for page in (root / "share/man").glob("man*/*.[0-9]"):
        page.with_name(f"{page.name}.gz").write_bytes(gzip.compress(page.read_bytes(), mtime=0))
        page.unlink()
