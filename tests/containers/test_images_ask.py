"""What images may ask ksmrun-oci for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from waiting import LAST_RESORT_SECONDS

from .recorder import Start, bundle, record, start, wrapped

__all__ = ["bundle", "record", "start"]


def test_an_image_that_brings_a_launcher(start: Start, bundle: Path) -> None:
    file = bundle / "config.json"
    config = json.loads(file.read_text())
    config["process"]["args"] = ["/ksmrun-exec", "--", "sh"]
    file.write_text(json.dumps(config))
    start("run", "-b", str(bundle), "id")
    after = json.loads(file.read_text())
    assert after["process"]["args"] == ["/ksmrun-exec", "--", "sh"]
    # For exec.
    assert after["mounts"][-1]["destination"] == "/dev/ksmrun/ksmrun-exec"


def store(tmp_path: Path, bundle: Path, manifest: Any) -> Path:
    """Make the bundle where Podman would have it; manifest: the image's. None: no image."""
    place = tmp_path / "vfs-containers/id/userdata"
    place.parent.mkdir(parents=True)
    bundle.rename(place)
    entry = {"id": "id", "image": "" if manifest is None else "i"}
    (tmp_path / "vfs-containers/containers.json").write_text(json.dumps([entry]))
    if manifest is not None:
        image = tmp_path / "vfs-images/i"
        image.mkdir(parents=True)
        (image / "manifest").write_text(json.dumps(manifest))
    return place


ASKS = {"ksmrun.layout": "shared", "ksmrun.layout-group": "no-such-group"}
IMAGES: dict[str, tuple[Any, bool]] = {
    "a root without an image": (None, True),
    "an image without any": ({}, True),
    "one with others": ({"annotations": {"a": "b", "ksmrun.layout": "random"}}, True),
    "one that carries it": ({"annotations": ASKS}, False),
    "no object": ({"annotations": ["x"]}, True),
}


@pytest.mark.parametrize("name", [*IMAGES, "no storage", "damaged", "a pipe"])
def test_annotations_of_podman_s_images(
    start: Start, bundle: Path, tmp_path: Path, name: str
) -> None:
    """Annotations that are, or may be, the image's do not count as its starter's."""
    file = bundle / "config.json"
    config = json.loads(file.read_text())
    config["annotations"] = {"io.container.manager": "libpod", **ASKS}
    file.write_text(json.dumps(config))
    manifest, is_believed = IMAGES.get(name, ({}, False))
    place = store(tmp_path, bundle, manifest)
    if name == "no storage":
        (tmp_path / "vfs-containers/containers.json").unlink()
    elif name == "damaged":
        (tmp_path / "vfs-images/i/manifest").write_text("{")
    elif name == "a pipe":
        (tmp_path / "vfs-images/i/manifest").unlink()
        os.mkfifo(tmp_path / "vfs-images/i/manifest")
    done = start("run", "-b", str(place), "id", timeout=LAST_RESORT_SECONDS)
    assert done.returncode == 42
    # It is asked for, and there is no key.
    assert ("group no-such-group has no key" in done.stderr) is is_believed
    assert ("counts as the image's own" in done.stderr) is (name not in IMAGES)
    assert ("layout=shared is ignored" in done.stderr) is (name == "one that carries it")
    assert wrapped(place)


def test_groups_for_an_image_s_name(start: Start, bundle: Path, tmp_path: Path) -> None:
    file, host = bundle / "config.json", tmp_path / "oci.json"
    config = json.loads(file.read_text())
    config["annotations"] = {"io.container.manager": "libpod", **ASKS}
    file.write_text(json.dumps(config))
    place = store(tmp_path, bundle, {})
    names = [{"id": "other", "names": ["r/y:1"]}, {"id": "i", "names": ["r/x:1", "r/x:2"]}]
    (tmp_path / "vfs-images/images.json").write_text(json.dumps(names))
    for pattern, is_open in (("r/x:2", True), ("r/x:*", True), ("r/y:1", False), ("*/z*", False)):
        host.write_text(json.dumps({"groups": {"no-such-group": {"images": [pattern]}}}))
        done = start(f"--ksmrun-config={host}", "run", "-b", str(place), "id")
        assert ("group no-such-group has no key" in done.stderr) is is_open, pattern
        assert ("is not open for this container" in done.stderr) is not is_open
