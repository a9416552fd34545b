"""Images without a registry, as `docker save` writes them."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from debs import site
from packaging.requirements import Requirement

import ksmrun

FOLDERS = ("bin", "dev", "etc", "proc", "run", "sys", "tmp", "var/lib")


def save(file: Path, name: str, root: Path, **config: Any) -> Path:
    """Write an image of one layer; config: as in a Dockerfile (image-spec, config.md)."""
    layer = file.with_suffix(".layer")
    subprocess.run(["tar", "-C", root, "--owner=0", "--group=0", "-cf", layer, "."], check=True)
    with layer.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    described = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(file, "w") as tar:
        tar.add(layer, "layer.tar")
        for path, value in (("config.json", described), ("manifest.json", manifest)):
            text = json.dumps(value).encode()
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    layer.unlink()
    return file


def box(root: Path) -> Path:
    """Make a root with busybox."""
    for name in FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in ("sh", "cat", "grep", "sleep", "id", "wget"):
        (root / "bin" / applet).symlink_to("busybox")
    return root


# What the image of examples/kubernetes/Containerfile has: Python, nsenter(1), a shell, NumPy's C++.
DEBIAN = ("python3", "libcap2", "util-linux", "busybox-static", "libstdc++6")
PYTHON = "usr/local/lib/python3.11/dist-packages"


def debian() -> Path:
    """Return a root with DEBIAN, made once: packages unpacked, none configured."""
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=extract", "--format=directory"]
    command += ["--components=main", f"--include={','.join(DEBIAN)}", "bookworm"]
    recipe = hashlib.sha256("\n".join(command).encode()).hexdigest()
    kept = Path("/var/cache/ksmrun-tests/images") / f"debian-{recipe[:12]}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=kept.parent) as place:
                subprocess.run([*command, f"{place}/root", site()], check=True)
                # A copy of its devices would have no end.
                shutil.rmtree(f"{place}/root/dev")
                Path(place, "root").rename(kept)
    return kept


def product(root: Path, *packages: str) -> Path:
    """Make a root with this ksmrun, as pip would install it, and further packages of Python."""
    shutil.copytree(debian(), root, symlinks=True)
    for name in FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for applet in ("sh", "cat", "rm", "grep", "env", "sleep"):
        if not (root / "bin" / applet).exists():
            (root / "bin" / applet).symlink_to("busybox")
    place = root / PYTHON
    for name in ("ksmrun[monitor,containers]", *packages):
        copy_distribution(Requirement(name), place, set())
    package = Path(ksmrun.__file__).parent
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, place / "ksmrun", ignore=without, dirs_exist_ok=True)
    programs = root / "usr/local/bin"
    programs.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(sys.executable).with_name("ksmrun"), programs)
    script = Path(sys.executable).with_name(".ksmrun-py").read_text().partition("\n")[2]
    (programs / ".ksmrun-py").write_text(f"#!/usr/bin/python3\n{script}")
    (programs / ".ksmrun-py").chmod(0o755)
    return root


def copy_distribution(wanted: Requirement, target: Path, done: set[str]) -> None:
    """Copy the files of an installed distribution and of all that it requires."""
    key = str(wanted.name).lower().replace("_", "-")
    new = {f"{key}[{extra}]" for extra in wanted.extras or {""}} - done
    if not new:
        return
    done |= new
    found = importlib.metadata.distribution(wanted.name)
    for file in found.files or ():
        # An editable install has none; commands are not needed.
        if ".." not in file.parts and not file.parts[0].endswith(".pth"):
            copy = target / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            if "__pycache__" not in file.parts and not copy.exists():
                shutil.copy(str(found.locate_file(file)), copy)
    for text in found.requires or ():
        needs = Requirement(text)
        marker = needs.marker
        if marker is None or any(marker.evaluate({"extra": e}) for e in (wanted.extras or {""})):
            copy_distribution(needs, target, done)
