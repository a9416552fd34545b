"""Debian root in which commands run, as its users would, in a copy that is thrown away."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Reads words to run: root, scratch folder, folder that is /release inside, "network" or "",
# command.
INSIDE = """
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/merged"
mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/merged"
mkdir -p "$2/merged/release"
mount --bind "$3" "$2/merged/release"
mount -t proc proc "$2/merged/proc"
mount --rbind /sys "$2/merged/sys"
mount --rbind /dev "$2/merged/dev"
root=$2/merged
if [ -n "$4" ]; then
    mount --bind /etc/ssl/certs "$root/etc/ssl/certs"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
fi
shift 4
exec chroot "$root" sh -euc "$@"
"""
# What the packages' scripts call; of busybox, as in images without coreutils.
TOOLS = ("sh", "find", "grep", "timeout", "head", "tr")


def busybox_root(folder: Path) -> Path:
    """Make a root that has only busybox and /dev/null; return the folder."""
    for name in ("bin", "dev"):
        (folder / name).mkdir(parents=True)
    os.mknod(folder / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    shutil.copy("/bin/busybox", folder / "bin")
    for name in TOOLS:
        (folder / "bin" / name).symlink_to("busybox")
    return folder


@dataclass(frozen=True)
class FreshRoot:
    """A root, and the folder that commands in it see as /release."""

    folder: Path
    scratch: Path
    release: Path

    def sh(self, script: str, *, check: bool = True, network: bool = False) -> str:
        """Run a script in a fresh copy of the root; return what it prints."""
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL"]
        if not network:
            namespaces.append("--net")
        places = (self.folder, self.scratch, self.release, "network" if network else "")
        command: list[str | Path] = [*namespaces, "sh", "-euc", INSIDE, "inside", *places, script]
        done = subprocess.run(
            command,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout
        return done.stdout
