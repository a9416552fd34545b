"""Build what a release consists of, twice, and compare the bytes: build.py FOLDER.

Needs what building from source needs (README.md of the repository), and this folder's
requirements.txt. What is built is the last commit, not the files beside it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
TOP = PACKAGE.parents[1]
# The programs are static and the shim needs no library: PEP 600 and PEP 656 allow the oldest tags.
PLATFORMS = "manylinux_2_17_{0}.manylinux2014_{0}.musllinux_1_1_{0}"
MACHINE = platform.machine()
DEBIAN_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}
FORMATS = ("deb", "rpm", "apk", "archlinux")
PRCTL = "python-prctl==1.8.1"
# Programs that are of no use without the Python part.
NEED_PYTHON = ("ksmrun-attach", "ksmrun-estimate")
NATIVE_PAGES = ("man1/ksmrun-exec.1", "man8/ksmrun-oci.8")
# What the front `ksmrun`, which lies beside it, starts; see native/front/ksmrun.c.
SCRIPT = """#!/usr/bin/python3
import sys
sys.path.insert(0, "/usr/lib/ksmrun/python")
from ksmrun.__main__ import main
sys.exit(main())
"""


@dataclass(frozen=True)
class Release:
    """A version and the time of its commit, in seconds since 1970."""

    version: str
    commit: str
    seconds: int


def output(*command: str | Path, folder: Path = TOP) -> str:
    """Return what a command prints."""
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def run(*command: str | Path, folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a command, and show its output only if it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(
            f"{done.stdout}\n{' '.join(map(str, command))}: exit code {done.returncode}"
        )


def described() -> Release:
    """Return the release that the last commit is."""
    lines = (TOP / "pyproject.toml").read_text().splitlines()
    (version,) = (line.split('"')[1] for line in lines if line.startswith("version = "))
    commit, seconds = output("git", "log", "-1", "--format=%H %ct").split()
    return Release(version, commit, int(seconds))


def check_out(commit: str, folder: Path) -> None:
    """Write the files of a commit to the folder."""
    folder.mkdir(parents=True)
    archive = folder.with_suffix(".tar")
    run("git", "archive", "--output", archive, commit, folder=TOP)
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    archive.unlink()


def build_wheel(sources: Path, dist: Path, environment: Mapping[str, str]) -> Path:
    """Build sdist and wheel; return the wheel."""
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", dist)
    run(*build, "--sdist", folder=sources, environment=environment)
    tags = f"-Cwheel.tags=py3-none-{PLATFORMS.format(MACHINE)}"
    run(*build, "--wheel", tags, folder=sources, environment=environment)
    (wheel,) = dist.glob("ksmrun-*.whl")
    return wheel


def build_prctl(scratch: Path, dist: Path, environment: Mapping[str, str]) -> None:
    """Build python-prctl from its sdist as one wheel for all Pythons from 3.11.

    libcap is inside, and libc is whichever the interpreter has loaded: the module names none, so
    the symbols have no versions.
    """
    download = ("download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", scratch)
    run(sys.executable, "-m", "pip", *download, PRCTL, folder=scratch)
    (archive,) = scratch.glob("python*prctl-*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(scratch, filter="data")
    sources = scratch / archive.name.removesuffix(".tar.gz")
    setup = sources / "setup.py"
    text = setup.read_text()
    changed = text.replace("libraries = ['cap']", "libraries = ['cap'], py_limited_api = True")
    if changed == text:
        raise SystemExit(f"{setup} has no list of libraries any more; look at build_prctl()")
    setup.write_text(changed)
    libraries = sources / "static"
    libraries.mkdir()
    compiler = os.environ.get("CC", "gcc")
    shutil.copy(output(compiler, "-print-file-name=libcap.a"), libraries)
    headers = "-D_GNU_SOURCE -include string.h -include unistd.h"
    flags = f"-O2 -U_FORTIFY_SOURCE -DPy_LIMITED_API=0x030b0000 {headers}"
    variables = {
        "CFLAGS": f"{flags} -ffile-prefix-map={sources}=.",
        "LDFLAGS": f"-L{libraries} -nodefaultlibs -Wl,-s -Wl,--build-id=none",
        # Python's own command has an rpath where Python is not the system's.
        "LDSHARED": f"{compiler} -shared",
    }
    wheel = ("bdist_wheel", "--py-limited-api", "cp311", "--dist-dir", dist)
    command = (sys.executable, "setup.py", "--quiet", *wheel)
    run(*command, folder=sources, environment={**environment, **variables})
    (built,) = dist.glob("python_prctl-*.whl")
    tags = f"--platform-tag={PLATFORMS.format(MACHINE)}"
    run(_tool("wheel"), "tags", "--remove", tags, built, folder=dist, environment=environment)


def collect_wheels(wheel: Path, scratch: Path, dist: Path, release: Release) -> None:
    """Pack the wheels that an installation without network and compiler needs."""
    house = scratch / "wheels"
    house.mkdir()
    (prctl,) = dist.glob("python_prctl-*.whl")
    for kept in (wheel, prctl):
        shutil.copy(kept, house)
    options = ["--only-binary", ":all:", "--python-version", "3.11", "--implementation", "cp"]
    for abi in ("cp311", "abi3", "none"):
        options += ["--abi", abi]
    for name in (f"manylinux2014_{MACHINE}", f"manylinux_2_17_{MACHINE}", "any"):
        options += ["--platform", name]
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--dest", house)
    run(*pip, "--find-links", house, *options, wheel, folder=dist)
    pack(house, dist / f"ksmrun-{release.version}-wheelhouse-{MACHINE}.tar.xz", release)


def pack(folder: Path, archive: Path, release: Release) -> None:
    """Pack a folder so that the same files give the same bytes."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = release.seconds
        return entry

    top = Path(archive.name.removesuffix(".tar.xz"))
    with tarfile.open(archive, "w:xz") as file:
        for path in sorted([folder, *folder.rglob("*")]):
            name = str(top / path.relative_to(folder))
            file.add(path, name, recursive=False, filter=plain)


def unpack_natives(wheel: Path, root: Path) -> None:
    """Put the programs that need no Python, with their manual pages, below root."""

    def place(name: str) -> str | None:
        folder, _, rest = name.partition("/libexec/")
        if folder == "ksmrun":
            return None if rest in NEED_PYTHON else f"libexec/ksmrun/{rest}"
        for page in NATIVE_PAGES:
            if name.endswith(f"/share/man/{page}"):
                return f"share/man/{page}"
        _, _, text = name.partition(".dist-info/licenses/")
        return f"share/doc/ksmrun-exec/{text}" if text else None

    unpack(wheel, root, place)


def unpack_python(wheels: Path, root: Path) -> None:
    """Put ksmrun and the packages that it imports below root."""
    for wheel in sorted(wheels.glob("*.whl")):

        def place(name: str, is_own: bool = wheel.name.startswith("ksmrun-")) -> str | None:
            _, _, program = name.partition("ksmrun/libexec/")
            if is_own and program:
                return f"libexec/ksmrun/{program}" if program in NEED_PYTHON else None
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


def build_packages(
    wheel: Path, scratch: Path, dist: Path, release: Release, environment: Mapping[str, str]
) -> None:
    """Build the packages of ksmrun-exec, for hosts without Python, and of ksmrun for Debian."""
    natives = scratch / f"ksmrun-exec-{release.version}-{MACHINE}"
    unpack_natives(wheel, natives)
    whole = scratch / "ksmrun"
    unpack_python(scratch / "wheels", whole)
    for path in (*natives.rglob("*"), *whole.rglob("*")):
        os.utime(path, (release.seconds, release.seconds))
    pack(natives, dist / f"{natives.name}.tar.xz", release)
    for config, root, formats in (
        ("ksmrun-exec.yaml", natives, FORMATS),
        ("ksmrun.yaml", whole, ("deb",)),
    ):
        variables = {
            **environment,
            "VERSION": release.version,
            "ARCH": DEBIAN_NAMES[MACHINE],
            "ROOT": str(root),
        }
        for name in formats:
            command = ("package", "--config", PACKAGE / config, "--packager", name)
            run(_tool("nfpm"), *command, "--target", dist, folder=PACKAGE, environment=variables)


def _tool(name: str) -> Path:
    return Path(sysconfig.get_path("scripts")) / name


def build(folder: Path, release: Release) -> dict[str, str]:
    """Build all into the folder/dist; return the SHA-256 sums by file name."""
    sources, scratch, dist = folder / "sources", folder / "scratch", folder / "dist"
    check_out(release.commit, sources)
    scratch.mkdir()
    dist.mkdir()
    environment = {"SOURCE_DATE_EPOCH": str(release.seconds), "TZ": "UTC", "LC_ALL": "C"}
    wheel = build_wheel(sources, dist, environment)
    build_prctl(scratch, dist, environment)
    collect_wheels(wheel, scratch, dist, release)
    build_packages(wheel, scratch, dist, release, environment)
    sums = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(dist.iterdir())
    }
    lines = [f"{digest}  {name}\n" for name, digest in sums.items()]
    (dist / "SHA256SUMS").write_text("".join(lines))
    return sums


def main(target: Path) -> None:
    """Build twice, in folders of other names, and keep the first if both are equal."""
    release = described()
    with tempfile.TemporaryDirectory(prefix="ksmrun-release-") as scratch:
        first, second = Path(scratch, "one"), Path(scratch, "the-other")
        sums, again = build(first, release), build(second, release)
        differ = sorted(name for name in sums if sums[name] != again.get(name))
        if target.exists():
            shutil.rmtree(target)
        shutil.copytree(first / "dist", target)
        if differ:
            shutil.copytree(second / "dist", target / "again")
            raise SystemExit(f"not the same twice: {', '.join(differ)}; see {target}/again")
    for path in sorted(target.iterdir()):
        print(f"{path.stat().st_size:>9}  {path.name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
