"""`ksmrun attach` and `ksmrun monitor --follow`, completely, on 6.1.

That kernel does not mark new memory by itself, and shows what merges.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from .initrd import pack
from .kernels import CLOUD_AMD64
from .matrix import boot

GROWS = """
import mmap, sys
kept = []
for line in sys.stdin:
    kept.append(mmap.mmap(-1, 8 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    kept[-1].write(bytes(range(256)) * (8 << 12))
"""
# Private writable KiB without a mark.
UNMARKED = """
/^[0-9a-f]+-[0-9a-f]+ / { wanted = $2 == "rw-p" }
/^Size:/ { size = $2 }
/^VmFlags:/ { if (wanted && !/ mg/) sum += size }
END { print sum + 0 }
"""
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
export PYTHONPATH=/site PYTHONDONTWRITEBYTECODE=1 KSMRUN_STATE_DIR=/state COLUMNS=200
unmarked() { awk -f /unmarked.awk /proc/$program/smaps; }
awaited() { i=0; while ! "$@" && [ $i -lt 300 ]; do sleep 0.1; i=$((i + 1)); done; }
has_grown() { [ "$(awk '/^VmData:/ { print $2 }' /proc/$program/status)" -ge $((data + 8192)) ]; }
is_marked() { [ "$(unmarked)" = 0 ]; }
grown() {
    data=$(awk '/^VmData:/ { print $2 }' /proc/$program/status)
    echo >&3
    awaited has_grown
}
mkfifo /words
{python} /grows.py </words &
program=$!
exec 3>/words
grown
echo
echo "before=$(unmarked)"
{python} -m ksmrun attach $program >/said
echo "attach=$?"
echo "hints=$(grep -c 'monitor --follow' /said)"
echo "attached=$(unmarked)"
{python} -m ksmrun monitor --follow --interval 0.5 >/log 2>&1 &
monitor=$!
grown
awaited is_marked
echo "followed=$(unmarked)"
# Emulated on a busy machine, the program may not stand still in time.
for try in 1 2 3 4 5; do
    {python} -m ksmrun detach $program
    code=$?
    [ $code = 0 ] && break
done
echo "detach=$code"
echo "marked=$(grep -c ' mg' /proc/$program/smaps)"
grown
sleep 3
echo "after=$(grep -c ' mg' /proc/$program/smaps)"
kill $monitor
wait $monitor
echo "monitor=$?"
cat /log
kill -0 $program && echo "runs=yes"
echo "end="
reboot -f
"""


def test_follow(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("bin", "dev", "proc", "sys", "site", "state"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin")
    python = _add_python(root)
    (root / "grows.py").write_text(GROWS)
    (root / "unmarked.awk").write_text(UNMARKED)
    (root / "init").write_text(INIT.replace("{python}", str(python)))
    (root / "init").chmod(0o755)
    values = boot(("6.1", CLOUD_AMD64), pack(root, tmp_path / "initrd")).values
    assert int(values["before"]) > 8192
    assert (values["attach"], values["attached"], values["hints"]) == ("0", "0", "1")
    assert values["followed"] == "0"
    # It is released, whatever it maps later.
    assert (values["detach"], values["marked"], values["after"]) == ("0", "0", "0")
    assert (values["monitor"], values["runs"]) == ("0", "yes")


def _add_python(root: Path) -> Path:
    """Add the interpreter at its own path, and the product with what it needs."""
    executable = Path(sys.executable).resolve()
    library = Path(os.__file__).parent
    left_out = ("test", "site-packages", "dist-packages", "idlelib", "lib2to3", "ensurepip")
    ignored = shutil.ignore_patterns(*left_out, "tkinter", "config-*", "*.a")
    _copy(root, executable)
    shutil.copytree(library, root / library.relative_to("/"), ignore=ignored)
    for each in _with_what_it_needs("ksmrun"):
        found = distribution(each)
        for file in found.files or []:
            if ".." not in file.parts:
                target = root / "site" / file
                target.parent.mkdir(parents=True, exist_ok=True)
                # With its time, so that compiled files are valid.
                shutil.copy2(file.locate(), target)
    # The name of a folder of the shim's makes AddressSanitizer accept it.
    found_files = (file for file in (root / "site").rglob("*.so") if file.is_file())
    modules = [executable, *library.glob("lib-dynload/*.so"), *found_files]
    said = subprocess.run(["ldd", *modules], capture_output=True, text=True, check=True).stdout
    for word in {word for word in said.split() if word.startswith("/") and ".so" in word}:
        _copy(root, Path(word.rstrip(":")))
    return executable


def _with_what_it_needs(name: str) -> set[str]:
    """Return the distributions that it needs, without extras."""
    wanted, found = [name], set[str]()
    while wanted:
        each = wanted.pop()
        # Requirements of other systems are not installed.
        with suppress(PackageNotFoundError):
            lines = distribution(each).requires or []
            found.add(each)
            names = [re.match(r"[\w.-]+", line) for line in lines if "extra ==" not in line]
            wanted += [
                found_name[0] for found_name in names if found_name and found_name[0] not in found
            ]
    return found


def _copy(root: Path, file: Path) -> None:
    target = root / file.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy(file.resolve(), target)
