"""Keys of shared layouts: who gets which, and what is rejected."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

from folders import let_all_in
from waiting import LAST_RESORT_SECONDS

from .conftest import Programs, reachable
from .support.layouts import key, keys, kinds, parts, refused, shared, where

__all__ = ["key", "keys", "kinds", "shared"]


def test_keys(
    ksmrun: str, launcher: str, shared: tuple[str, ...], kinds: Programs, keys: Path
) -> None:
    # Without the shim, which would be an additional library.
    group = (*shared[:-1], "--seeds=own", "--layout-group=g", "--", kinds.where)
    first = parts(where(*group))
    assert (keys / "master.key").stat().st_mode & 0o7777 == 0o600
    file = keys / "g.key"
    subprocess.run([ksmrun, "layout", "key", "g", "--output", file], check=True)
    assert (file.stat().st_mode & 0o7777, file.stat().st_size) == (0o400, 32)
    # The group's own key, passed as a file: Python and C derive the same.
    handed = [launcher, "--quiet", "--layout=shared", f"--layout-key={file}", "--", kinds.where]
    assert parts(where(*handed)) == first
    said = subprocess.run(
        [ksmrun, "layout", "rotate", "g"], capture_output=True, text=True, check=True
    )
    assert said.stdout.startswith("later launches of the group g get a new layout;")
    assert said.stderr == ""
    said = subprocess.run([ksmrun, "layout", "rotate", "h"], capture_output=True, text=True)
    assert (
        said.returncode == 0 and "has used the group h yet (there are: default, g)" in said.stderr
    )
    rotated = parts(where(*group))
    assert all(a != b for a, b in zip(first, rotated, strict=True) if a > 1 << 32)
    default = parts(where(*shared, kinds.where))
    subprocess.run([ksmrun, "layout", "rotate"], check=True)
    assert parts(where(*shared, kinds.where)) != default


def test_keys_that_others_may_know(launcher: str, tmp_path: Path, key: str) -> None:
    run = [launcher, "--layout=shared"]
    assert "No such file" in refused(*run, "--layout-key=/nothing", "true")
    Path(key).chmod(0o440)
    assert "can be read by other users" in refused(*run, f"--layout-key={key}", "true")
    short = tmp_path / "short"
    short.write_bytes(b"x" * 31)
    short.chmod(0o400)
    assert "32 bytes" in refused(*run, f"--layout-key={short}", "true")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o400)
    for odd in (str(fifo), "/dev/zero"):
        assert "32 bytes" in refused(
            *run, f"--layout-key={odd}", "true", timeout=LAST_RESORT_SECONDS
        )


def test_a_key_handed_over_by_an_access_control_list(launcher: str, key: str) -> None:
    """As systemd passes a credential to the user of a service."""
    version, nobody = 2, 65534
    user_object, user, group_object, mask, other = 1, 2, 4, 16, 32

    def set_list(*named: tuple[int, int]) -> None:
        entries = [(user_object, 4, 0xFFFFFFFF), *((user, bits, who) for who, bits in named)]
        entries += [(group_object, 0, 0xFFFFFFFF), (mask, 4, 0xFFFFFFFF), (other, 0, 0xFFFFFFFF)]
        packed = b"".join(struct.pack("<HHI", *entry) for entry in entries)
        os.setxattr(key, "system.posix_acl_access", struct.pack("<I", version) + packed)

    run = ["--layout=shared", f"--layout-key={key}"]
    let_all_in(Path(key).parent)
    user_launcher = reachable(launcher, Path(key).parent)
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", user_launcher]
    set_list((nobody, 4))
    assert Path(key).stat().st_mode & 0o777 == 0o440
    done = subprocess.run([*as_nobody, *run, "--require", "true"], capture_output=True, text=True)
    assert done.returncode == 0, done
    set_list((nobody, 4), (1000, 4))
    assert "can be read by other users" in refused(*as_nobody, *run, "true")
