"""Packages that ksmrun imports, for a root's Python: compiled ones fit one version only."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import requires, version
from pathlib import Path

from .roots import CACHE

# Roots have Debian's, which pip would have to compile.
OWN = "python-prctl"


def packages(root: Path) -> Path:
    """Return a folder for PYTHONPATH: this Python's packages if the root has the same version."""
    wanted = python_version(root)
    if wanted == "{}.{}".format(*sys.version_info[:2]):
        return Path(sysconfig.get_path("purelib"))
    lines = requires("ksmrun") or []
    wants = [line for line in lines if "extra" not in line or 'extra == "monitor"' in line]
    names = [re.split(r"[^\w.-]", line)[0] for line in wants]
    pinned = [f"{name}=={version(name)}" for name in sorted(names) if name != OWN]
    folder = CACHE / "-".join(["python", wanted, *pinned])
    marker = folder.with_name(f"{folder.name}.complete")
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not marker.exists():
            shutil.rmtree(folder, ignore_errors=True)
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq", "install"]
            other = [f"--python-version={wanted}", "--only-binary=:all:", f"--target={folder}"]
            subprocess.run([*pip, *other, *pinned], check=True)
            marker.touch()
    return folder


def python_version(root: Path) -> str:
    """Return the version in the form 3.13."""
    return (root / "usr/bin/python3").readlink().name.removeprefix("python")
