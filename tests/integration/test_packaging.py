"""Content of the wheel and the sdist, and the launcher in an otherwise empty root."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from fresh_root import FreshRoot

from ksmrun.options.pages import pages
from ksmrun.options.texts import texts
from tests.systemd.roots import built, roots

DIST = Path(__file__).parents[2] / "dist"
# What the wheel depends on, and pip; by tests/prepare.sh.
WHEELS = Path(__file__).parents[2] / "build/wheels"
# Debian's python3-venv, which has pip, is not in the root. pip need not compile what it installs.
INSTALL = """
! command -v gcc cc musl-gcc
python3 -m venv --without-pip /opt/ksmrun
PYTHONPATH=$(ls /release/pip-*.whl) /opt/ksmrun/bin/python -m pip install --quiet --no-index \\
    --no-compile --find-links /release ksmrun
PATH=$PATH:/opt/ksmrun/bin PYTHONDONTWRITEBYTECODE=1
"""
# As a static PIE with stack protector it has 142.
LAUNCHER_BYTES_MAX = 152 * 1024
# With the table of completion.
FRONT_BYTES_MAX = 208 * 1024


def test_wheel() -> None:
    """tests/run.sh built it; the launcher in it is static, small and can be run."""
    (wheel,) = DIST.glob("*.whl")
    assert "-py3-none-linux" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        launcher = entries["ksmrun/libexec/ksmrun-exec"]
        scripts = {Path(name).name: e for name, e in entries.items() if "/scripts/" in name}
        assert {"ksmrun", "ksmrun-exec"} <= scripts.keys()
        for entry in (launcher, *scripts.values()):
            assert entry.external_attr >> 16 & 0o111 == 0o111, entry.filename
            is_front = Path(entry.filename).name == "ksmrun"
            assert entry.file_size < (FRONT_BYTES_MAX if is_front else LAUNCHER_BYTES_MAX)
        assert archive.read(launcher).startswith(b"\x7fELF")
        assert "ksmrun/commands/top/top.tcss" in entries
        assert {f"ksmrun/help/{topic}.md" for topic in texts()} <= entries.keys()
        shared = {name.partition(".data/data/share/")[2] for name in entries}
        assert {f"man/{page.file}" for page in pages()} <= shared
        assert {
            "bash-completion/completions/ksmrun",
            "zsh/site-functions/_ksmrun",
            "fish/vendor_completions.d/ksmrun.fish",
        } <= shared
        assert not any(name.startswith("tests/") for name in entries)


def test_sdist() -> None:
    (sdist,) = DIST.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("pyproject.toml", "native/CMakeLists.txt", "native/exec/main.c", "LICENSE"):
        assert name in names


def test_installed_without_network_and_compiler(tmp_path: Path) -> None:
    house, scratch = tmp_path / "house", tmp_path / "scratch"
    shutil.copytree(WHEELS, house)
    (wheel,) = DIST.glob("*.whl")
    shutil.copy(wheel, house)
    scratch.mkdir()
    root = FreshRoot(built(roots(everything=False)[252]), scratch, house)
    said = root.sh(
        f"{INSTALL}\n"
        "ksmrun --help | head -n 1\n"
        "ksmrun run --quiet -- echo it runs\n"
        # It also judges whether KSM is on.
        "ksmrun check --json -- true | grep -o ksmrun-check-1"
    )
    assert said.splitlines()[1:] == ["it runs", "ksmrun-check-1"], said


def test_installed_commands_can_be_run(ksmrun: str) -> None:
    beside = Path(sys.executable).with_name("ksmrun-exec")
    for command in ([str(beside), "--version"], [ksmrun, "--version"]):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.split()[1] == "0.1.0"


def test_in_a_root_with_nothing_else(launcher: str, programs: Any, tmp_path: Path) -> None:
    """A container with only the launcher and the target: no libc, no /proc, no /sys, no shell."""
    shutil.copy(launcher, tmp_path / "ksmrun-exec")
    shutil.copy(programs.flag_static, tmp_path / "flag")
    for options in ([], ["--verify"], ["--require"], ["--thp=off"]):
        command = ["chroot", str(tmp_path), "/ksmrun-exec", *options, "--", "/flag"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert ("/proc" in done.stderr) == (options == ["--verify"])
    for target, code in (("/missing", 127), ("flag", 127), ("/", 126)):
        command = ["chroot", str(tmp_path), "/ksmrun-exec", target]
        assert subprocess.run(command, capture_output=True, check=False).returncode == code


def test_through_a_link(ksmrun: str, tmp_path: Path) -> None:
    """As pipx and administrators link it into /usr/local/bin."""
    link = tmp_path / "ksmrun"
    link.symlink_to(ksmrun)
    subprocess.run([str(link), "--version"], check=True, stdout=subprocess.DEVNULL)
