"""Build ksmrun from its sdist by each Python from 3.11, and run its unit tests and mypy with it.

Started by tests/run.sh pythons. Each Python is that of a Debian root, where pip builds everything
without git; no Debian has 3.12, which must be on PATH.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

TESTS = Path(__file__).resolve().parent
TOP = TESTS.parent
sys.path.insert(0, str(TOP))
from tests.systemd.roots import Root, built  # noqa: E402

SUITES = {"3.11": "bookworm", "3.12": None, "3.13": "trixie", "3.14": "forky"}
PACKAGES = ("python3-venv", "python3-dev", "gcc", "libc6-dev", "musl-tools", "libcap-dev")
PACKAGES += ("ca-certificates", "procps", "util-linux", "mount")
# Words: root, scratch folder, repository, command.
INSIDE = """
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/merged"
mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/merged"
root=$2/merged
mkdir -p "$root/repository" "$root/root/.cache/pip" "$HOME/.cache/pip"
mount --bind "$3" "$root/repository"
mount --bind "$HOME/.cache/pip" "$root/root/.cache/pip"
mount --bind /etc/ssl/certs "$root/etc/ssl/certs"
cp /etc/resolv.conf "$root/etc/resolv.conf"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
shift 3
cd /
exec env HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt chroot "$root" sh -euc "$@"
"""
# Words: name of the Python, repository, folder for the environment.
TEST = """
"$0" -m venv "$2"
"$2/bin/pip" --disable-pip-version-check install -qq "$(echo "$1"/dist/ksmrun-*.tar.gz)[test]"
"$2/bin/ksmrun" --version
cd "$1/tests"
"$2/bin/python" -m pytest -q -p no:cacheprovider unit
"""


def command(version: str, scratch: Path) -> Sequence[str | Path]:
    """Return the command that tests this Python."""
    suite = SUITES[version]
    if suite is None:
        return ("sh", "-euc", TEST, f"python{version}", TOP, scratch / "environment")
    root = built(Root(int(version.replace(".", "")), suite, suite, PACKAGES))
    namespaces = ("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL")
    inside = (*namespaces, "sh", "-euc", INSIDE, "inside", root, scratch, TOP)
    return (*inside, TEST, "/usr/bin/python3", "/repository", "/opt/ksmrun")


def main(versions: Sequence[str]) -> int:
    """Test these versions, or all."""
    failed = []
    for version in versions or tuple(SUITES):
        print(f"-- Python {version}", flush=True)
        with tempfile.TemporaryDirectory(prefix="ksmrun-python-") as scratch:
            codes = [subprocess.run(command(version, Path(scratch)), check=False).returncode]
        mypy = (sys.executable, "-m", "mypy", "--python-version", version)
        codes.append(
            subprocess.run([*mypy, "ksmrun", "tests", "examples"], cwd=TOP, check=False).returncode
        )
        if any(codes):
            failed.append(version)
    if failed:
        print(f"failed with Python {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
