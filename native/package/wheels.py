"""Wheels of ksmrun and of python-prctl, and the wheelhouse with all that ksmrun imports."""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from commands import date, pack, run, tool
from machines import Machine, Toolchain
from parts import Part, of_toolchain, of_wheel, vendored
from release import Release
from sbom import document

PACKAGE = Path(__file__).resolve().parent
# The module names no libc, so the symbols have no versions: it uses the one that Python has loaded.
MODULE_FLAGS = "-O2 -U_FORTIFY_SOURCE -DPy_LIMITED_API=0x030b0000 -D_GNU_SOURCE"
# libcap.a calls it on aarch64. libgcc's has a constructor, which needs a symbol of glibc.
ATOMICS = """
unsigned char __aarch64_swp1_acq_rel(unsigned char value, unsigned char *where);
__attribute__((visibility("hidden")))
unsigned char __aarch64_swp1_acq_rel(unsigned char value, unsigned char *where) {
    return __atomic_exchange_n(where, value, __ATOMIC_ACQ_REL);
}
"""


def build_sdist(sources: Path, dist: Path, release: Release) -> None:
    """Build the archive of the sources."""
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, "--sdist")
    run(*build, folder=sources, environment=release.environment)


def build_wheel(sources: Path, tools: Toolchain, dist: Path, release: Release) -> Path:
    """Build ksmrun's wheel with static programs; return it."""
    machine = tools.machine
    notice = sources / "native/third_party/musl/LICENSE"
    notice.parent.mkdir(exist_ok=True)
    notice.write_text(tools.notice("musl-dev"))
    settings = {
        "wheel.tags": f"py3-none-{machine.tags}",
        "cmake.define.CMAKE_SYSTEM_NAME": "Linux",
        "cmake.define.CMAKE_SYSTEM_PROCESSOR": machine.name,
        "cmake.define.CMAKE_C_COMPILER": tools.musl_compiler,
    }
    options = (f"-C{name}={value}" for name, value in settings.items())
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, "--wheel")
    run(*build, *options, folder=sources, environment=release.environment)
    (wheel,) = dist.glob(f"ksmrun-*{machine.name}.whl")
    third_party = vendored(sources / "native/third_party/README.md")
    return with_sbom(wheel, [*third_party, of_toolchain(tools, "musl")], release)


def build_prctl(tools: Toolchain, scratch: Path, dist: Path, release: Release) -> Path:
    """Build python-prctl as one wheel for all Pythons from 3.11, with libcap inside; return it."""
    sources = _prctl_sources(scratch)
    machine = tools.machine
    libraries = sources / "static"
    libraries.mkdir()
    shutil.copy(tools.libcap, libraries)
    (sources / "atomics.c").write_text(ATOMICS if machine.name == "aarch64" else "")
    (sources / "LICENSE.libcap").write_text(tools.notice("libcap-dev"))
    # Its archive lacks the file that its sources refer to.
    shutil.copy("/usr/share/common-licenses/GPL-3", sources / "COPYING")
    headers = f"-include string.h -include unistd.h -I{tools.folder}/usr/include"
    variables = {
        "CC": machine.compiler,
        "CFLAGS": f"{MODULE_FLAGS} {machine.flags} {headers} -ffile-prefix-map={sources}=.",
        "LDFLAGS": f"-L{libraries} -nodefaultlibs -Wl,-s -Wl,--build-id=none",
        # Python's own command has an rpath where Python is not the system's.
        "LDSHARED": f"{machine.compiler} -shared",
    }
    kind = ("--py-limited-api", "cp311", "--plat-name", f"linux_{machine.name}")
    command = (sys.executable, "setup.py", "--quiet", "bdist_wheel", *kind, "--dist-dir", dist)
    run(*command, folder=sources, environment={**release.environment, **variables})
    (built,) = dist.glob(f"python_prctl-*-linux_{machine.name}.whl")
    tags = ("tags", "--remove", f"--platform-tag={machine.tags}")
    run(tool("wheel"), *tags, built, folder=dist, environment=release.environment)
    (wheel,) = dist.glob(f"python_prctl-*{machine.name}.whl")
    return with_sbom(wheel, [of_toolchain(tools, "libcap")], release)


def _prctl_sources(scratch: Path) -> Path:
    """Download and unpack python-prctl's sdist, changed so that it builds for all Pythons."""
    wanted = scratch / "prctl.txt"
    wanted.write_text(pinned(lambda name: name == "python-prctl"))
    download = ("download", "--quiet", "--no-deps", "--no-binary", ":all:", "--require-hashes")
    pip = (sys.executable, "-m", "pip", *download, "--no-build-isolation", "--dest", scratch)
    run(*pip, "--requirement", wanted, folder=scratch)
    (archive,) = scratch.glob("python*prctl-*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(scratch, filter="data")
    sources = scratch / archive.name.removesuffix(".tar.gz")
    setup = sources / "setup.py"
    text = setup.read_text()
    changed = text.replace("['_prctlmodule.c']", "['_prctlmodule.c', 'atomics.c']")
    changed = changed.replace("libraries = ['cap']", "libraries = ['cap'], py_limited_api = True")
    if len(changed) != len(text) + len(", 'atomics.c', py_limited_api = True"):
        raise SystemExit(f"{setup} is not as it was; look at _prctl_sources()")
    setup.write_text(changed)
    return sources


def pinned(is_wanted: Callable[[str], bool]) -> str:
    """Return those lines of wheelhouse.txt, with their hashes, whose package is wanted."""
    text = (PACKAGE / "wheelhouse.txt").read_text()
    entries = re.findall(r"^([\w-]+)(==(?:.*\\\n)*.*\n)", text, re.M)
    return "".join(f"{name}{rest}" for name, rest in entries if is_wanted(name))


def with_sbom(wheel: Path, parts: Iterable[Part], release: Release) -> Path:
    """Put what is in the wheel, and what it depends on, on record in it (PEP 770)."""
    subject = of_wheel(wheel)
    with tempfile.TemporaryDirectory(dir=wheel.parent) as scratch:
        environment = release.environment
        run(tool("wheel"), "unpack", "--dest", scratch, wheel, folder=wheel.parent)
        (folder,) = Path(scratch).iterdir()
        (information,) = folder.glob("*.dist-info")
        (information / "sboms").mkdir()
        file = information / f"sboms/{subject.name}.cdx.json"
        file.write_text(document(subject, [*parts, *subject.requires()], release))
        date(folder, release.seconds)
        pack_command = ("pack", "--dest-dir", wheel.parent, folder)
        run(tool("wheel"), *pack_command, folder=wheel.parent, environment=environment)
    return wheel


def collect_wheels(wheels: Iterable[Path], machine: Machine, house: Path) -> None:
    """Collect the wheels that an installation without network and compiler needs, as pinned."""
    house.mkdir()
    built = [Path(shutil.copy(wheel, house)) for wheel in wheels]
    names = {each.name.partition("-")[0].replace("_", "-") for each in built}
    wanted = house.with_suffix(".txt")
    wanted.write_text(pinned(lambda name: name not in names))
    options = ["--only-binary", ":all:", "--python-version", "3.11", "--implementation", "cp"]
    for abi in ("cp311", "abi3", "none"):
        options += ["--abi", abi]
    for platform in (f"manylinux2014_{machine.name}", f"manylinux_2_17_{machine.name}", "any"):
        options += ["--platform", platform]
    pip = (sys.executable, "-m", "pip", "download", "--quiet", *options)
    kept = ("--require-hashes", "--no-deps", "--requirement", wanted, "--dest", house)
    run(*pip, *kept, folder=house)
    # Is anything missing?
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(house)}
    with tempfile.TemporaryDirectory() as scratch:
        run(*pip, "--dest", scratch, "ksmrun", folder=house, environment=offline)


def pack_wheelhouse(house: Path, machine: Machine, dist: Path, release: Release) -> None:
    """Pack the collected wheels, with a list of them."""
    parts = [of_wheel(wheel) for wheel in sorted(house.glob("*.whl"))]
    name = f"ksmrun-{release.version}-wheelhouse-{machine.name}"
    subject = Part(name, release.version, "MIT", None)
    (house / "wheelhouse.cdx.json").write_text(document(subject, parts, release))
    pack(house, dist / f"{name}.tar.xz", release.seconds)
