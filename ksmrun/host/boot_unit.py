"""Unit that sets KSM at boot, and restores it when it is stopped (systemd.service(5))."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from ksmrun.facts.systemd import Systemd
from ksmrun.host.owned_files import is_foreign, remove_ours, write_ours

NAME = "ksmrun-host.service"
FILE = Path("etc/systemd/system") / NAME


def unit_text(program: str, settings: Mapping[str, str], asked: str) -> str:
    """Return the unit file. asked: the command line that it comes from."""
    words = " ".join(f"{name}={value}" for name, value in settings.items())
    # A percent sign in a path would be a specifier (systemd.unit(5)).
    path = shlex.quote(program).replace("%", "%%")
    return f"""# Written by `ksmrun host install`; taken away by `ksmrun host install --remove`.
[Unit]
Description=KSM as set by {asked}
ConditionPathIsReadWrite=/sys/kernel/mm/ksm/run
After=systemd-tmpfiles-setup.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={path} host set {words}
ExecStop={path} host restore --values
StateDirectory=ksmrun

[Install]
WantedBy=multi-user.target
"""


def install(root: Path, text: str, systemd: Systemd) -> list[str]:
    """Write the unit and start it; return the lines to show. Raises KsmrunError."""
    write_ours(root / FILE, text)
    systemd.succeed("systemctl", "daemon-reload")
    systemd.succeed("systemctl", "enable", "--", NAME)
    # If it is running already, only a restart applies the new settings.
    systemd.succeed("systemctl", "restart", "--", NAME)
    return [f"set now and at every boot: /{FILE}"]


def remove(root: Path, systemd: Systemd) -> list[str]:
    """Stop the unit, which restores KSM, and delete it; return the lines to show."""
    if not is_installed(root):
        return ["no unit of ksmrun sets KSM at boot"]
    systemd.call("systemctl", "disable", "--now", "--", NAME)
    remove_ours(root / FILE)
    systemd.succeed("systemctl", "daemon-reload")
    return [f"no longer set at boot: /{FILE} deleted"]


def is_installed(root: Path) -> bool:
    """Return whether our unit exists."""
    return (root / FILE).exists() and not is_foreign(root / FILE)
