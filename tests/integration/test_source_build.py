"""Building from source on a host with a compiler, and little else."""

from __future__ import annotations

import subprocess
from pathlib import Path

NATIVE = Path(__file__).parents[2] / "native"
# As if the packages of the 32-bit libc were not installed, which few hosts have.
WITHOUT_32_BIT_LIBC = """
mkdir -p "$1"
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work"
mount -t overlay -o "lowerdir=/usr/include,upperdir=$1/upper,workdir=$1/work" overlay /usr/include
dpkg -L libc6-dev-i386 gcc-12-multilib | grep ^/usr/include/ | while read -r file; do
    if [ -L "$file" ] || [ -f "$file" ]; then rm -f "$file"; fi
done
shift
exec "$@"
"""


def test_the_shim_for_32_bit_programs_needs_no_32_bit_libc(tmp_path: Path) -> None:
    """With glibc's headers for 64 bits only; the folder's name has a blank."""
    build = tmp_path / "a build"
    hide = ["sh", "-euc", WITHOUT_32_BIT_LIBC, "hide", str(tmp_path / "include")]
    options = ["-G", "Ninja", "-DKSMRUN_MUSL=OFF", "-DKSMRUN_WERROR=ON"]
    for command in (
        ["cmake", "-S", str(NATIVE), "-B", str(build), *options],
        ["cmake", "--build", str(build), "--target", "shim32"],
    ):
        done = subprocess.run(
            ["unshare", "--mount", *hide, *command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    library = (build / "shim32" / "libksmrun-preload.so").read_bytes()
    # elf(5): EI_CLASS 32 bits, e_machine EM_386
    assert (library[4], library[18]) == (1, 3)
