"""Checkpoint and restore by a real CRIU: a wrapped container comes back, also where it is imported.

CRIU 3.17 of Debian 12 does not start on newer kernels, so a newer suite's is unpacked, with its
libraries.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from debs import unpack_from
from waiting import LAST_RESORT_SECONDS, wait_until

from .bundles import Bundle, plain_config, runtime_words
from .conftest import make_root

SUITE = "trixie"
PACKAGES = (
    *("criu", "libc6", "libnftables1", "libprotobuf-c1", "libnet1", "libnl-3-200", "libnftnl11"),
    *("libmnl0", "libxtables12", "libjansson4", "libedit2", "libuuid1", "libbsd0", "libmd0"),
    *("libgnutls30t64", "libgmp10", "libtinfo6", "libunistring5", "libidn2-0", "libhogweed6t64"),
    *("libnettle8t64", "libtasn1-6", "libp11-kit0", "libffi8", "libbpf1", "libelf1t64", "zlib1g"),
    *("libcap2", "libdrm2"),
)
COUNT = "n=0; while :; do n=$((n+1)); echo $n >/tmp/count; sleep 0.1; done"


@pytest.fixture(scope="module")
def criu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for PATH. runc calls `criu` by its name."""
    folder = tmp_path_factory.mktemp("criu")
    unpack_from(SUITE, PACKAGES, folder / "root")
    libraries = folder / "root/usr/lib/x86_64-linux-gnu"
    program = f"{libraries}/ld-linux-x86-64.so.2 --library-path {libraries}"
    (folder / "criu").write_text(f'#!/bin/sh\nexec {program} {folder}/root/usr/sbin/criu "$@"\n')
    (folder / "criu").chmod(0o755)
    check = subprocess.run(
        [folder / "criu", "check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=LAST_RESORT_SECONDS,
    )
    if check.returncode != 0:
        pytest.skip(f"this kernel does not let CRIU work: {check.stdout}{check.stderr}")
    return folder


@pytest.fixture
def bundle(
    criu: Path, programs: Path, oci: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bundle]:
    monkeypatch.setenv("PATH", f"{criu}:{os.environ['PATH']}")
    # A root of its own, which it writes to. In others' there may be device files by now.
    config = plain_config(make_root(tmp_path / "root", programs))
    path = tmp_path / "bundle"
    path.mkdir()
    made = Bundle(path, runtime_words("runc", tmp_path / "state", oci, []), config)
    yield made
    made.delete()


def counted(tmp_path: Path) -> int:
    return int((tmp_path / "root/tmp/count").read_text().strip() or 0)


def ksm_stat(bundle: Bundle) -> str:
    pid = json.loads(bundle.call("state", bundle.name).stdout)["pid"]
    return Path(f"/proc/{pid}/ksm_stat").read_text()


@pytest.mark.parametrize("is_imported", [False, True], ids=["here", "imported"])
def test_a_wrapped_container_comes_back(
    bundle: Bundle, tmp_path: Path, *, is_imported: bool
) -> None:
    (tmp_path / "root/tmp").mkdir(exist_ok=True)
    images = ("--image-path", str(tmp_path / "images"), "--work-path", str(tmp_path / "images"))
    # An open file outside of the container could not be restored.
    quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    words = [*bundle.runtime, "run", "--detach", "--bundle", str(bundle.path), bundle.name]
    bundle.config["process"]["args"] = ["sh", "-c", COUNT]
    bundle.save()
    plain = json.dumps(bundle.config)
    assert subprocess.call(words, timeout=LAST_RESORT_SECONDS, **quiet) == 0
    wait_until(lambda: (tmp_path / "root/tmp/count").exists() and counted(tmp_path) > 3)
    assert "ksm_merge_any: yes" in ksm_stat(bundle)
    done = bundle.call("checkpoint", *images, bundle.name)
    assert done.returncode == 0, done.stderr
    before = counted(tmp_path)
    if is_imported:
        # As an engine writes it where it imports a checkpoint: nothing of ours is in it.
        (bundle.path / "config.json").write_text(plain)
    restore = [*bundle.runtime, "restore", "--detach", *images, "--bundle", str(bundle.path)]
    assert subprocess.call([*restore, bundle.name], timeout=LAST_RESORT_SECONDS, **quiet) == 0
    wait_until(lambda: counted(tmp_path) > before + 3)
    # What was marked is marked again. CRIU does not know the flag itself (prctl(2): 67).
    assert "ksm_mergeable: yes" in ksm_stat(bundle)
