"""Images without a registry, as `docker save` writes them."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

FOLDERS = ("bin", "dev", "etc", "proc", "run", "sys", "tmp", "var/lib")


def save(file: Path, name: str, root: Path, **config: Any) -> Path:
    """Write an image of one layer; config: as in a Dockerfile (image-spec, config.md)."""
    layer = file.with_suffix(".layer")
    subprocess.run(["tar", "-C", root, "--owner=0", "--group=0", "-cf", layer, "."], check=True)
    with layer.open("rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest()
    described = {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(file, "w") as tar:
        tar.add(layer, "layer.tar")
        for path, value in (("config.json", described), ("manifest.json", manifest)):
            text = json.dumps(value).encode()
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    layer.unlink()
    return file


def box(root: Path) -> Path:
    """Make a root with busybox."""
    for name in FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in ("sh", "cat", "grep", "sleep", "id", "wget"):
        (root / "bin" / applet).symlink_to("busybox")
    return root
