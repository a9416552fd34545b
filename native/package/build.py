"""Build what a release consists of, twice, and compare the bytes.

Needs what building from source needs (README.md of the repository), Debian's cross compiler for
the other machine, and this folder's requirements.txt. What is built is the last commit, not the
files beside it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from machines import MACHINES, download, unpack
from packages import build_packages
from page import index_page
from release import Release, check_out, described
from sums import sign, sums, write_sums
from wheels import build_prctl, build_sdist, build_wheel, collect_wheels, pack_wheelhouse


def build(folder: Path, downloaded: Mapping[str, Path], release: Release) -> dict[str, str]:
    """Build all into the folder/dist; return the SHA-256 sums by file name."""
    sources, dist = folder / "sources", folder / "dist"
    check_out(release.commit, sources)
    readme = sources / "README.md"
    readme.write_text(index_page(readme.read_text(), release.repository, release.version))
    dist.mkdir()
    build_sdist(sources, dist, release)
    for machine in MACHINES:
        scratch = folder / machine.name
        scratch.mkdir()
        tools = unpack(machine, downloaded[machine.name], scratch / "tools")
        wheels = (
            build_wheel(sources, tools, dist, release),
            build_prctl(tools, scratch, dist, release),
        )
        house = scratch / "wheels"
        collect_wheels(wheels, machine, house)
        build_packages(wheels[0], house, tools, scratch, dist, release)
        pack_wheelhouse(house, machine, dist, release)
    return sums(dist)


def main(target: Path, key: Path | None) -> None:
    """Build twice, in folders of other names, and keep the first if both are equal."""
    release = described()
    with tempfile.TemporaryDirectory(prefix="ksmrun-release-") as scratch:
        downloaded = {machine.name: Path(scratch, machine.name) for machine in MACHINES}
        for machine in MACHINES:
            download(machine, downloaded[machine.name])
        first, second = Path(scratch, "one"), Path(scratch, "the-other")
        found, again = build(first, downloaded, release), build(second, downloaded, release)
        differ = sorted(name for name in found | again if found.get(name) != again.get(name))
        if target.exists():
            shutil.rmtree(target)
        shutil.copytree(first / "dist", target)
        if differ:
            shutil.copytree(second / "dist", target / "again")
            raise SystemExit(f"not the same twice: {', '.join(differ)}; see {target}/again")
    file = write_sums(target)
    if key is not None:
        sign(file, key)
    for path in sorted(target.iterdir()):
        print(f"{path.stat().st_size:>9}  {path.name}")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the files go; replaced if it exists")
    parser.add_argument(
        "--sign-key",
        type=Path,
        metavar="FILE",
        default=os.environ.get("KSMRUN_SIGN_KEY"),
        help="SSH key that signs SHA256SUMS. Default: $KSMRUN_SIGN_KEY; without it, no signature",
    )
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    if given.sign_key is not None and not Path(given.sign_key).is_file():
        raise SystemExit(f"no such key: {given.sign_key}")
    main(given.folder.resolve(), given.sign_key and Path(given.sign_key).resolve())
