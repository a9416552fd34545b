"""Programs started with one secret layout: nothing but their addresses may differ."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from compiled import build_product, compile_to

from ksmrun.facts.launcher import launcher_path

HERE = Path(__file__).parent
# Its sources, beside those of this folder.
INTEGRATION = HERE.parent / "integration/programs"
Build = Callable[..., str]
# Debian's gcc-multilib and its cross compilers exclude each other; this is multilib's part.
NARROW = ("gcc-12", "-I/usr/include/x86_64-linux-gnu")
# Marks its processes.
DYNAMIC_NAME = "ksmrun-killed"


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Return a folder that every user can reach; pytest closes its own whenever it starts."""
    with tempfile.TemporaryDirectory(prefix="ksmrun-layout-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def build(folder: Path) -> Build:
    """Compile programs/NAME.c with the options, once; with -m32 for i386."""

    def compile_(name: str, *options: str) -> str:
        target = folder / "-".join(
            [name, *(option.strip("-").replace("/", "_") for option in options)]
        )
        if not target.exists():
            sources = [place / f"{name}.c" for place in (HERE / "programs", INTEGRATION)]
            (source,) = (source for source in sources if source.exists())
            compiler = NARROW if "-m32" in options else ("gcc",)
            compile_to(target, [*compiler, "-g", "-O1", "-pthread", *options, source])
        return str(target)

    return compile_


@pytest.fixture(scope="session")
def launcher(folder: Path) -> str:
    """Return a copy of the installed launcher that every user can execute."""
    installed = os.environ.get("KSMRUN_TEST_LAUNCHER") or launcher_path()
    return str(shutil.copy(installed, folder / "ksmrun-exec"))


@pytest.fixture(scope="session")
def dynamic_launcher(folder: Path) -> Path:
    """Return a launcher with shared libraries, so that it can be preloaded, with its own name."""
    tree = folder / "dynamic"
    build_product(tree, ["-DKSMRUN_MUSL=OFF", "-DKSMRUN_STATIC=OFF"], ["ksmrun-exec"])
    return (tree / "ksmrun-exec").rename(tree / DYNAMIC_NAME)


@pytest.fixture(scope="session")
def key(folder: Path) -> str:
    file = folder / "key"
    file.write_bytes(random.randbytes(32))
    file.chmod(0o400)
    return str(file)


def words(launcher: str, key: str) -> list[str]:
    options = ["--quiet", "--merge=keep", "--require", "--seeds=own"]
    return [launcher, *options, "--layout=shared", f"--layout-key={key}", "--"]


@pytest.fixture(scope="session")
def launch(launcher: str, key: str) -> list[str]:
    """Return the words before a command that start it moved, or not at all."""
    return words(launcher, key)


@pytest.fixture(scope="session")
def launch_as_nobody(launcher: str, key: str) -> list[str]:
    """Return the same without any privilege, with a key as an unprivileged service gets it."""
    file = shutil.copy(key, f"{key}-nobody")
    os.chown(file, 65534, 65534)
    drop = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
    return ["setpriv", *drop, "--no-new-privs", *words(launcher, file)]
