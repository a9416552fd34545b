"""Installations that are not as they should be: what ksmrun does there, and says."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest
from fresh_root import FreshRoot, busybox_root

from .conftest import PACKAGE

DEBS = "dpkg -i /release/*_$(dpkg --print-architecture).deb >/dev/null\n"
PIP = """
python3 -m venv --without-pip /opt/ksmrun
# Python 3.14 warns of this pip's own code.
PYTHONWARNINGS=ignore PYTHONPATH=/release/pip.whl /opt/ksmrun/bin/python -m pip install --quiet \
    --no-index --no-compile --find-links /release/house/* ksmrun
"""
# EM_AARCH64 as e_machine (elf.h).
OTHER_MACHINE = r"""
cd /opt/ksmrun
for file in bin/ksmrun-exec lib/python3*/site-packages/ksmrun/libexec/ksmrun-*; do
    printf '\267\000' | dd of="$file" bs=1 seek=18 conv=notrunc status=none
done
"""
LAUNCHER = "/usr/libexec/ksmrun/ksmrun-exec"
REFUSAL = PACKAGE / "refuse-removal"


def test_programs_of_another_machine(root: FreshRoot) -> None:
    said = root.sh(
        f"{PIP}{OTHER_MACHINE}"
        "PATH=$PATH:/opt/ksmrun/bin\n"
        "for words in 'run -- echo it runs' 'run --require -- echo never' 'check -- true' \\\n"
        "    'wrap install'; do ksmrun $words && echo 0 || echo $?; done\n"
        "ls /usr/local/libexec/ksmrun 2>/dev/null || echo nothing"
    )
    assert "Traceback" not in said
    lines = said.splitlines()
    assert [line for line in lines if not line.startswith("ksmrun: ")] == [
        *("it runs", "0", "125", "1", "1", "nothing")
    ]
    assert said.count("Exec format error") == 4
    assert said.count("it is for another machine: install ksmrun again") == 4


def test_two_side_by_side(root: FreshRoot) -> None:
    said = root.sh(
        f"{PIP}{DEBS}"
        "ksmrun --version | tail -n 1\n"
        "/opt/ksmrun/bin/ksmrun --version | tail -n 1\n"
        "/opt/ksmrun/bin/ksmrun wrap install >/dev/null\n"
        "for each in ksmrun /opt/ksmrun/bin/ksmrun; do $each status || :; done | grep ' launcher'\n"
        # What an earlier installation has left can be taken away; the package's cannot.
        "ksmrun wrap install --remove\n"
        "ksmrun wrap install --remove || echo $?"
    )
    own, pip, *shown, deleted, refused, code = said.splitlines()
    assert own == f"launcher {LAUNCHER}"
    assert pip.startswith("launcher /opt/ksmrun/lib/python3")
    assert pip.endswith("; wraps name /usr/local/libexec/ksmrun/ksmrun-exec")
    assert [line.split()[2] for line in shown] == [
        LAUNCHER,
        "/usr/local/libexec/ksmrun/ksmrun-exec",
    ]
    assert deleted == "/usr/local/libexec/ksmrun deleted"
    assert "belongs to the package" in refused and code == "1"


def test_usr_is_read_only(root: FreshRoot) -> None:
    said = root.sh(
        f"{PIP}{DEBS}"
        "mount --bind /usr /usr\n"
        "mount -o remount,bind,ro /usr\n"
        "ksmrun run --quiet -- echo it runs\n"
        "ksmrun check --json -- true | grep -o ksmrun-check-1\n"
        "ksmrun wrap install\n"
        "/opt/ksmrun/bin/ksmrun wrap install || echo $?"
    )
    assert "Traceback" not in said
    first, second, there, refused, code = said.splitlines()
    assert (first, second, code) == ("it runs", "ksmrun-check-1", "1")
    assert there.startswith(LAUNCHER) and there.endswith(" already")
    assert "Read-only file system" in refused


def test_there_is_no_run(root: FreshRoot) -> None:
    said = root.sh(
        f"{DEBS}"
        "rm -rf /run\n"
        "ksmrun run --quiet -- echo it runs\n"
        "ksmrun check --json -- true | grep -o ksmrun-check-1\n"
        "ksmrun status >/dev/null || [ $? = 1 ]\n"
        "dpkg --purge ksmrun ksmrun-exec >/dev/null\n"
        "ls -d /usr/libexec/ksmrun 2>/dev/null || echo nothing"
    )
    assert said.splitlines() == ["it runs", "ksmrun-check-1", "nothing"]


def test_rpm_is_not_removed_while_a_file_names_its_launcher(release: Path, tmp_path: Path) -> None:
    root = busybox_root(tmp_path / "root")
    rpm = ("rpm", "--root", root, "--nodeps")
    (package,) = release.glob(f"*.{platform.machine()}.rpm")
    subprocess.run([*rpm, "--install", package], check=True)
    unit = root / "etc/systemd/system/game.service"
    unit.parent.mkdir(parents=True)
    unit.write_text(f"[Service]\nExecStart={LAUNCHER} -- /bin/game\n")
    subprocess.run([*rpm, "--upgrade", "--force", package], check=True)
    done = subprocess.run([*rpm, "--erase", "ksmrun-exec"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "/etc/systemd/system/game.service" in done.stderr
    assert (root / LAUNCHER.lstrip("/")).exists()
    unit.unlink()
    subprocess.run([*rpm, "--erase", "ksmrun-exec"], check=True)
    assert not list(root.rglob("ksmrun*"))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["remove"], 1),
        (["0"], 1),
        (["0.1.0-1"], 1),
        ([], 1),
        (["upgrade", "0.2"], 0),
        (["1"], 0),
        (["deconfigure", "in-favour", "x", "0.2"], 0),
    ],
)
def test_only_a_removal_is_refused(words: list[str], code: int, tmp_path: Path) -> None:
    """Words of deb, rpm, pacman and apk."""
    root = busybox_root(tmp_path / "root")
    shutil.copy(REFUSAL, root)
    for name, text in (
        ("home/a/.config/systemd/user/x.service", f"ExecStart={LAUNCHER} -- x\n"),
        ("etc/containers/containers.conf", "[engine]\n"),
        ("etc/systemd/system/big.service", f"{LAUNCHER}\n" * 40000),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    command = ["chroot", str(root), "/bin/sh", "/refuse-removal", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code
    assert ("/home/a/.config/systemd/user/x.service" in done.stderr) == bool(code)
    assert "big.service" not in done.stderr
    (root / "run").mkdir()
    (root / "run/ksmrun-remove-anyway").touch()
    assert subprocess.run(command).returncode == 0
