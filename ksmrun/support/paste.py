"""Make commands in messages work when they are pasted into a shell of this host."""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

from ksmrun.model import wrap

# PATH of commands run by sudo, if sudoers does not set another (sudoers(5): secure_path).
SECURE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SUDO = re.compile(r"\bsudo\s+ksmrun(?=\s)")
# Without a path before it.
PIP = re.compile(r"(?<![\w/.-])pip install 'ksmrun\[")
# Debian's packages of the extras (pyproject.toml), for a package's ksmrun.
DEBIAN = {
    "ab": "python3-scipy python3-matplotlib python3-jinja2",
    "containers": "python3-yaml",
    "monitor": "python3-prometheus-client",
    "top": "python3-textual",
}
EXTRA = re.compile(rf"{PIP.pattern}({'|'.join(DEBIAN)})\]'")


def own_program() -> str:
    """Return the path of the running `ksmrun`."""
    beside = Path(sys.argv[0]).absolute().with_name("ksmrun")
    return str(beside) if beside.is_file() else shutil.which("ksmrun") or "ksmrun"


def pasteable(text: str) -> str:
    """Return the text with the path of ksmrun if sudo does not find it, and of its own pip.

    A package's ksmrun gets packages of Debian instead.
    """
    if SUDO.search(text) is not None and not _sudo_finds_it():
        text = SUDO.sub(lambda _: f"sudo {shlex.quote(own_program())}", text)
    if PIP.search(text) is None:
        return text
    if wrap.LIBEXEC == wrap.PACKAGED:
        return EXTRA.sub(lambda found: f"sudo apt install {DEBIAN[found[1]]}", text)
    return PIP.sub(lambda _: f"{_pip()} install 'ksmrun[", text)


def _sudo_finds_it() -> bool:
    """Return what shutil.which() would find, which takes longer to import than to search."""
    files = (Path(folder) / "ksmrun" for folder in SECURE_PATH.split(":"))
    return any(file.is_file() and os.access(file, os.X_OK) for file in files)


@functools.cache
def _pip() -> str:
    pip = Path(sys.executable).with_name("pip")
    return shlex.quote(str(pip)) if pip.is_file() else f"{shlex.quote(sys.executable)} -m pip"
