"""ksmrun-oci puts the shim into containers on the kernels that need it, and on no other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ksmrun.facts.launcher import LAUNCHER

from .initrd import pack
from .kernels import CLOUD_AMD64
from .matrix import boot

CONFIG = {
    "ociVersion": "1.0.2",
    "process": {"args": ["sh"]},
    "mounts": [{"destination": "/dev", "type": "tmpfs"}],
}
# The runtime is a fake: checked are its input and its own flag, which must stay as it was.
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox --install -s /bin
echo
/libexec/ksmrun-oci --ksmrun-runtime=/bin/look create --bundle / id
echo "config=$(cat /config.json)"
/libexec/ksmrun-oci --ksmrun-runtime=/bin/look create --bundle / id >/dev/null
echo "again=$(cat /config.json)"
echo "end="
poweroff -f
"""
LOOK = "#!/bin/sh\necho flag=$(grep merge_any /proc/self/ksm_stat)\n"


@pytest.fixture(scope="module")
def initrd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("oci")
    root = folder / "root"
    (root / "bin").mkdir(parents=True)
    for name in ("proc", "sys"):
        (root / name).mkdir()
    shutil.copy("/bin/busybox", root / "bin")
    shutil.copytree(LAUNCHER.parent, root / "libexec")
    (root / "config.json").write_text(json.dumps(CONFIG))
    for file, text in {"init": INIT, "bin/look": LOOK}.items():
        (root / file).write_text(text)
        (root / file).chmod(0o755)
    return pack(root, folder / "initrd")


@pytest.mark.parametrize(("version", "has_shim"), [("6.1", False), ("6.12", True), ("6.17", False)])
def test_the_shim_is_asked_of_the_kernel(initrd: Path, version: str, has_shim: bool) -> None:
    values = boot((version, CLOUD_AMD64), initrd).values
    config = json.loads(values["config"])
    words = config["process"]["args"]
    assert words[0] == "/dev/ksmrun/ksmrun-exec"
    assert words[-2:] == ["--", "sh"]
    assert ("--shim=join" in words) is has_shim
    places = [mount["destination"] for mount in config["mounts"]]
    assert ("/dev/ksmrun/shim" in places) is has_shim
    assert json.loads(values["again"]) == config
    assert "yes" not in values["flag"]
