"""Each Python from 3.11 builds ksmrun from its sdist, without git, and its unit tests pass with it.

Each is the Python of a Debian root. No Debian has 3.12, which must be on PATH.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fresh_root import FreshRoot

from tests.systemd.roots import Root, built

TOP = Path(__file__).parents[2]
SUITES = {"3.11": "bookworm", "3.13": "trixie", "3.14": "forky"}
ON_PATH = "3.12"
PACKAGES = (
    *("python3-venv", "python3-dev", "gcc", "libc6-dev", "musl-tools", "libcap-dev"),
    *("ca-certificates", "procps", "util-linux", "mount"),
)
# Words: the Python, the repository, a folder for the environment.
TEST = """
! command -v git || [ "$1" != /release ]
"$0" -m venv "$2"
export PIP_CACHE_DIR="$1/build/pip" PIP_CERT=/etc/ssl/certs/ca-certificates.crt
"$2/bin/pip" --disable-pip-version-check install -qq "$(echo "$1"/dist/ksmrun-*.tar.gz)[test]"
"$2/bin/ksmrun" run -- "$2/bin/python" --version
cd "$1/tests"
"$2/bin/python" -m pytest -q -p no:cacheprovider unit
"""


@pytest.mark.parametrize("version", SUITES)
def test_units_of_debian(version: str, tmp_path: Path) -> None:
    suite = SUITES[version]
    folder = built(Root(int(version.replace(".", "")), suite, suite, PACKAGES))
    said = FreshRoot(folder, tmp_path, TOP).sh(
        f"sh -euc '{TEST}' python3 /release /opt/ksmrun", network=True
    )
    assert f"Python {version}." in said and " passed" in said, said


def test_units_of_another(tmp_path: Path) -> None:
    command = ("sh", "-euc", TEST, f"python{ON_PATH}", TOP, tmp_path / "environment")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and f"Python {ON_PATH}." in said and " passed" in said, said


@pytest.mark.parametrize("version", sorted([*SUITES, ON_PATH]))
def test_types(version: str) -> None:
    """As `style` does for the oldest."""
    mypy = (sys.executable, "-m", "mypy", "--python-version", version)
    done = subprocess.run(
        [*mypy, "ksmrun", "tests", "examples"], cwd=TOP, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
