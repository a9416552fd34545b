"""Artefacts of a release, installed as their users do: offline, and without a compiler."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from pathlib import Path

from fresh_root import FreshRoot, busybox_root

# A venv without pip, since Debian's python3-venv is not in the root either.
INSTALL = """
! command -v gcc cc musl-gcc
python3 -m venv --without-pip /opt/ksmrun
PYTHONPATH=/release/pip.whl /opt/ksmrun/bin/python -m pip install --quiet --no-index \
    --find-links /release/house/* ksmrun
"""


def test_wheels_fit_old_and_other_libcs(tools: Path, release: Path) -> None:
    for wheel in release.glob("ksmrun-*.whl"):
        said = subprocess.run(
            [tools / "auditwheel", "show", wheel], capture_output=True, text=True, check=True
        ).stdout
        assert "requires no external shared libraries" in said
    for prctl in release.glob("python_prctl-*.whl"):
        subprocess.run([tools / "abi3audit", "--strict", prctl], check=True)


def test_sums(release: Path) -> None:
    lines = (release / "SHA256SUMS").read_text().splitlines()
    named = {line.split("  ")[1] for line in lines}
    assert len(named) == len(lines) >= 19
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((release / name).read_bytes()).hexdigest() == digest


def test_install_offline_without_compiler(root: FreshRoot) -> None:
    said = root.sh(
        f"{INSTALL}"
        "/opt/ksmrun/bin/ksmrun --version\n"
        "/opt/ksmrun/bin/ksmrun run --quiet -- echo it runs\n"
        "/opt/ksmrun/bin/python -c 'import prctl; print(prctl.get_no_new_privs())'\n"
        "/opt/ksmrun/bin/ksmrun check --json -- true | grep -c schema"
    )
    assert said.splitlines()[-3:] == ["it runs", "0", "1"], said


def test_debs_install_and_leave_nothing(root: FreshRoot) -> None:
    said = root.sh(
        "find / -xdev -newer /etc/debian_version >/dev/null\n"
        "find / -xdev | sort >/release/before\n"
        "dpkg -i /release/*_$(dpkg --print-architecture).deb >/dev/null\n"
        "ksmrun-exec --quiet -- echo it runs\n"
        "ksmrun run --quiet -- echo it plans\n"
        "ksmrun check --json -- true | grep -c schema\n"
        "ls /usr/share/man/man1/ksmrun-exec.1.gz /usr/share/man/man1/ksmrun.1.gz\n"
        "ls /usr/share/bash-completion/completions/ksmrun\n"
        "dpkg --purge ksmrun ksmrun-exec >/dev/null\n"
        "find / -xdev | sort >/release/after\n"
        "diff /release/before /release/after | grep -v '^[<>] /var/l' | grep '^[<>]' || :"
    )
    assert said.splitlines() == [
        "it runs",
        "it plans",
        "1",
        "/usr/share/man/man1/ksmrun-exec.1.gz",
        "/usr/share/man/man1/ksmrun.1.gz",
        "/usr/share/bash-completion/completions/ksmrun",
    ]


def test_rpm_installs_and_leaves_nothing(release: Path, tmp_path: Path) -> None:
    rpm = ("rpm", "--root", busybox_root(tmp_path), "--nodeps")
    (package,) = release.glob(f"*.{platform.machine()}.rpm")
    subprocess.run([*rpm, "--install", package], check=True)
    launcher = tmp_path / "usr/libexec/ksmrun/ksmrun-exec"
    done = subprocess.run([launcher, "--quiet", "--", "echo", "it runs"], stdout=subprocess.PIPE)
    assert done.stdout == b"it runs\n"
    subprocess.run([*rpm, "--erase", "ksmrun-exec"], check=True)
    assert not list(tmp_path.rglob("*ksmrun*"))


def test_archive_runs_where_it_is_unpacked(release: Path, tmp_path: Path) -> None:
    (archive,) = release.glob(f"ksmrun-exec-*{platform.machine()}.tar.xz")
    subprocess.run(["tar", "-C", tmp_path, "-xf", archive], check=True)
    (launcher,) = tmp_path.rglob("libexec/ksmrun/ksmrun-exec")
    done = subprocess.run([launcher, "--quiet", "--", "echo", "it runs"], stdout=subprocess.PIPE)
    assert done.stdout == b"it runs\n"
