"""A real kernel without CONFIG_KSM: user-mode-linux, booted on this root file system."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from ksmrun.facts.launcher import launcher_path

from .matrix import uml_command

# Each section of the output ends with its exit code.
INIT = """#!/bin/sh
mount -t proc none /proc
mount -t sysfs none /sys
# Of this boot's, as /run is; the host's is in use by other tests.
mount -t tmpfs none /run
export PATH={path}
exec >{output} 2>&1
for command in {commands}; do
    sh -c "$command"
    echo "code $?"
done
sync
echo o >/proc/sysrq-trigger
sleep 5
"""


def test_ksm_is_absent_from_the_kernel(tmp_path: Path) -> None:
    launcher, ksmrun = launcher_path(), Path(sys.executable).with_name("ksmrun")
    commands = [
        f"{launcher} -- echo started",
        f"{launcher} --require -- echo started",
        f"{ksmrun} run -- echo started",
        f"{ksmrun} run --require -- echo started",
        f"{ksmrun} check",
        f"{ksmrun} host on",
        f"{ksmrun} host show",
        f"{ksmrun} ps",
        f"{launcher} --merge=off --require -- true",
    ]
    output, init = tmp_path / "output", tmp_path / "init"
    words = " ".join(shlex.quote(command) for command in commands)
    init.write_text(INIT.format(path=os.environ["PATH"], output=output, commands=words))
    init.chmod(0o755)
    subprocess.run(
        [
            *uml_command(tmp_path / "uml_xstate.so"),
            "root=/dev/root",
            "rootfstype=hostfs",
            "rw",
            f"init={init}",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=3600,
        check=False,
    )
    text = output.read_text()
    assert "Traceback" not in text
    sections = [section.strip() for section in text.split("code ")]
    codes = [int(section.split()[0]) for section in sections[1:]]
    assert codes == [0, 125, 0, 125, 1, 1, 1, 1, 0], text
    assert text.count("started\n") == 2
    assert text.count("this kernel was built without CONFIG_KSM") >= 5
    assert text.count("no KSM in this kernel") >= 1
    assert "is older than 6.1 or has no KSM" in text
