"""Root with systemd, booted in QEMU by Debian's kernel: for what this host's kernel lacks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import ksmrun

from .boot import COMMANDS
from .packages import packages
from .roots import Root, built

# Without KVM everything is some ten times slower.
BOOT_SECONDS = 3600
MEMORY_MIB = 2000
QEMU = (
    *("qemu-system-x86_64", "-machine", "q35,mem-merge=off", "-accel", "tcg,thread=multi"),
    *("-smp", "2", "-m", str(MEMORY_MIB), "-nographic", "-nodefaults", "-no-reboot"),
    *("-serial", "stdio"),
)
TESTS = Path(__file__).parent.parent
FETCH = (
    "import sys; sys.path.append('common'); from kernels.kernels import CLOUD_AMD64, fetch; "
    "print(fetch('6.12', CLOUD_AMD64)[1])"
)
NOT_NEEDED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt")
SERVICE = """[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh /test.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
ExecStopPost=/bin/systemctl poweroff -ff
"""


def run(root: Root, folder: Path, script: str, *, init: str, arguments: str) -> list[str]:
    """Return the lines that the script prints. init: a script that starts systemd, as PID 1."""
    top = folder / "root"
    subprocess.run(["cp", "-a", built(root), top], check=True)
    for name in NOT_NEEDED:
        shutil.rmtree(top / name, ignore_errors=True)
    shutil.copytree(Path(ksmrun.__file__).parent, top / "opt/ksmrun/ksmrun")
    shutil.copytree(packages(built(root)), top / "opt/packages")
    units = top / "etc/systemd/system"
    for path, text in (
        *((top / "usr/local/bin" / name, text) for name, text in COMMANDS.items()),
        (top / "init", init),
        (top / "test.sh", f"exec 2>&1\necho BEGIN\n{script}\necho END\n"),
        (units / "test.service", SERVICE),
    ):
        path.write_text(text)
        path.chmod(0o755)
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    (units / "multi-user.target.wants/test.service").symlink_to("../test.service")
    (units / "default.target").unlink(missing_ok=True)
    (units / "default.target").symlink_to("/usr/lib/systemd/system/multi-user.target")
    initrd = folder / "initrd"
    names = subprocess.run(["find", ".", "-print0"], cwd=top, capture_output=True, check=True)
    with initrd.open("wb") as archive:
        cpio = ["cpio", "--null", "--create", "--format=newc", "--quiet"]
        subprocess.run(cpio, cwd=top, input=names.stdout, stdout=archive, check=True)
    shutil.rmtree(top)
    kernel = subprocess.run(
        [sys.executable, "-c", FETCH], cwd=TESTS, capture_output=True, text=True, check=True
    ).stdout.strip()
    line = f"console=ttyS0 panic=-1 quiet systemd.show_status=0 {arguments}"
    done = subprocess.run(
        [*QEMU, "-kernel", kernel, "-initrd", initrd, "-append", line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=BOOT_SECONDS,
        check=False,
    )
    initrd.unlink()
    lines = [line.strip() for line in done.stdout.decode(errors="replace").splitlines()]
    assert "END" in lines, "\n".join(lines[-40:])
    return lines[lines.index("BEGIN") + 1 : lines.index("END")]
