"""Units as systemd reports them, through systemctl and busctl, for the system or one user."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import string
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ksmrun.model.errors import KsmrunError
from ksmrun.model.frozen import dataclass
from ksmrun.model.wrap import ExecCommand, UnitFacts

TIMEOUT_SECONDS = 120.0
PROPERTIES = (
    *("Id", "LoadState", "LoadError", "FragmentPath", "SourcePath", "DropInPaths", "Type"),
    *("ActiveState", "SubState", "Result", "MainPID", "ControlGroup", "NeedDaemonReload"),
    *("PIDFile", "GuessMainPID"),
    *("RootDirectory", "RootImage", "TemporaryFileSystem", "InaccessiblePaths", "NoExecPaths"),
    *(
        "SystemCallFilter",
        "SystemCallErrorNumber",
        "AppArmorProfile",
        "SELinuxContext",
        "MemoryKSM",
    ),
    *("Environment", "EnvironmentFiles", "PassEnvironment", "ExecSearchPath", "Transient"),
)
SERVICE = "org.freedesktop.systemd1"


@dataclass(frozen=True)
class Systemd:
    """One systemd manager. user: that of the calling user, else the system's."""

    user: bool = False

    @property
    def scope(self) -> tuple[str, ...]:
        """Option with which systemctl and similar programs talk to this manager."""
        return ("--user",) if self.user else ()

    def to_paste(self, *words: str) -> str:
        """Return a command for a shell, with sudo where only root may command this manager."""
        return shlex.join([*(() if self.user else ("sudo",)), *words])

    def call(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run systemctl, busctl or systemd-run. Raises KsmrunError if it cannot be started."""
        try:
            return subprocess.run(
                [program, *self.scope, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                timeout=TIMEOUT_SECONDS,
                check=False,
                env={**os.environ, "LC_ALL": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"},
            )
        except FileNotFoundError as error:
            raise KsmrunError(
                f"there is no {program}: this host does not run systemd",
                "start the program with `ksmrun run`, or wrap its container",
            ) from error
        except subprocess.TimeoutExpired as error:
            raise KsmrunError(
                f"{program} {' '.join(arguments[:2])} did not end within {TIMEOUT_SECONDS:.0f} s",
                "see `systemctl list-jobs`",
            ) from error

    def succeed(self, program: str, *arguments: str) -> str:
        """Return the program's output. Raises KsmrunError with its error message."""
        done = self.call(program, *arguments)
        if done.returncode != 0:
            said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
            what = f"{program} {arguments[0]} {arguments[-1]}"
            raise KsmrunError(f"{what}: {said}", self._todo(said))
        return done.stdout

    def _todo(self, said: str) -> str:
        if "bus" in said or "booted" in said:
            where = "in a session of that user" if self.user else "on a host that runs systemd"
            return f"run this {where}"
        return (
            "run this as root" if os.geteuid() and not self.user else "correct what systemd reports"
        )

    def show(self, name: str) -> dict[str, str]:
        """Return PROPERTIES of a unit, without those that this version of systemd does not have."""
        text = self.succeed("systemctl", "show", "-p", ",".join(PROPERTIES), "--", name)
        pairs = (line.partition("=") for line in text.split("\n"))
        return {key: value for key, mark, value in pairs if mark}

    def unit(self, name: str, ours: str) -> UnitFacts:
        """Return the service of this name. ours: file name of the wrap. Raises KsmrunError."""
        prefix, is_template, _ = name.partition("@.")
        # systemd has no properties of a template, only of its instances.
        properties = self.show(f"{prefix}@ksmrun.service" if is_template else name)
        named = properties.get("Id", name)
        files = [Path(properties["FragmentPath"])] if properties.get("FragmentPath") else []
        files += drop_ins(properties)
        loaded = properties.get("LoadState") == "loaded" and named.endswith(".service")
        return UnitFacts(
            name=name if is_template else named,
            template=bool(is_template),
            files=tuple(path for path in files if path.name != ours),
            properties=properties,
            commands=self.commands(named) if loaded else (),
        )

    def commands(self, name: str) -> tuple[ExecCommand, ...]:
        """Return ExecStart as systemd parsed it. Raises KsmrunError.

        busctl separates the words, but a user's manager often has no bus, and ExecStartEx exists
        only since systemd 243.
        """
        path = f"/org/freedesktop/systemd1/unit/{_label(name)}"
        where = ("get-property", SERVICE, path, f"{SERVICE}.Service", "ExecStartEx")
        done = self.call("busctl", "--json=short", *where)
        if done.returncode == 0:
            with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):
                items = json.loads(done.stdout)["data"]
                return tuple(ExecCommand(i[0], tuple(i[1]), tuple(sorted(i[2]))) for i in items)
        text = self.succeed("systemctl", "show", "-p", "ExecStart,ExecStartEx", "--", name)
        found = re.findall(r"^ExecStartEx=(.*)", text, re.MULTILINE)
        return tuple(
            map(_shown_command, found or re.findall(r"^ExecStart=(.*)", text, re.MULTILINE))
        )

    def memory_ksm_works(self) -> bool | None:
        """Return whether a service with MemoryKSM=yes starts and merges; None if not testable.

        systemd 254 and 255 pass prctl too few arguments (systemd PR 31683), and all versions fail
        on a kernel before 6.4. ksm_merge_any exists since Linux 6.14.
        """
        if shutil.which("systemd-run") is None:
            return None
        plain = ["--quiet", "--wait", "--pipe", "--collect"]
        look = ["--", "cat", "/proc/self/ksm_stat"]
        if self.call("systemd-run", *plain, *look).returncode != 0:
            return None
        done = self.call("systemd-run", *plain, "-p", "MemoryKSM=yes", *look)
        return done.returncode == 0 and "ksm_merge_any: yes" in _normal(done.stdout)


def drop_ins(properties: Mapping[str, str]) -> list[Path]:
    """Return a unit's drop-ins; systemctl doubles the backslashes of escaped names."""
    text = properties.get("DropInPaths", "")
    try:
        return [Path(path) for path in shlex.split(text)]
    except ValueError:
        return [Path(path) for path in text.split(" ") if path]


def _normal(text: str) -> str:
    return "\n".join(": ".join(line.replace(":", " ").split()) for line in text.split("\n"))


def _shown_command(text: str) -> ExecCommand:
    """Parse `{ path=P ; argv[]=W W ; flags=F F ; ...`; blanks within words are ambiguous."""
    fields = dict(part.partition("=")[::2] for part in text.strip("{ }").split(" ; "))
    flags = fields.get("flags", "ignore-failure" if fields.get("ignore_errors") == "yes" else "")
    argv = tuple(fields.get("argv[]", "").split(" "))
    return ExecCommand(fields.get("path", ""), argv, tuple(sorted(flags.split())))


def _label(name: str) -> str:
    """Return the name encoded as by sd_bus_path_encode(3)."""
    plain = (string.ascii_letters + string.digits).encode()
    return "".join(
        chr(byte) if byte in plain and (index or chr(byte) not in string.digits) else f"_{byte:02x}"
        for index, byte in enumerate(name.encode("utf-8", "surrogateescape"))
    )
