"""Drop-in that wraps a service, and the unit that makes the key of its shared layout."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from ksmrun.model.frozen import dataclass
from ksmrun.model.trust import TRUST_FOLDER
from ksmrun.model.wrap import LAUNCHER, LAUNCHERS, LIBEXEC, ExecCommand, Method, UnitFacts
from ksmrun.wrap.execline import Command, program_word, quote, simplified, wrap
from ksmrun.wrap.header import header, without_ksmrun

KEY_UNIT = "ksmrun-layout-key@.service"
CREDENTIAL = "ksmrun.layout"
FINGERPRINT = "# Made from commands with the SHA-256 "


@dataclass(frozen=True)
class KeyPlace:
    """Origin of a group's key. file: as systemd expands it. user: for a user's manager."""

    group: str
    user: bool

    @property
    def file(self) -> str:
        """Path in a folder that a boot or login empties."""
        return f"{'%t' if self.user else '/run'}/ksmrun/layout/units/{self.group}.key"

    @property
    def option(self) -> str:
        """Launcher option as it stands in the unit file; %d is the credentials' folder."""
        return f"--layout-key={self.file}" if self.user else f"--layout-key=%d/{CREDENTIAL}"

    @property
    def settings(self) -> list[str]:
        """Settings for the key.

        SetCredential= is the fallback: a missing file does not stop the service.
        """
        if self.user:
            return []
        return [f"LoadCredential={CREDENTIAL}:{self.file}", f"SetCredential={CREDENTIAL}:none"]

    @property
    def unit(self) -> str:
        """Name of the instance that makes the key."""
        return KEY_UNIT.replace("@.", f"@{self.group}.")


@dataclass(frozen=True)
class DomainClaim:
    """Claim of a trust domain at a service's start.

    ksmrun: the program; None for a user's manager, which cannot claim. is_required: without the
    domain the service does not start.
    """

    domain: str
    ksmrun: str | None
    is_required: bool

    @property
    def settings(self) -> list[str]:
        """Settings: the command runs as root, whatever user the service has (systemd.service(5)).

        It comes after the service's own ExecStartPre=. If it fails, the launcher finds the domain
        unclaimed, and starts the service without merging.
        """
        if self.ksmrun is None:
            return []
        prefix = "+" if self.is_required else "-+"
        return [f"ExecStartPre={prefix}{program_word(self.ksmrun)} trust claim {self.domain}"]


def render(
    unit: UnitFacts,
    method: Method,
    exec_values: Sequence[str],
    options: Sequence[str],
    key: KeyPlace | None,
    scope: str,
    claim: DomainClaim | None = None,
) -> str:
    """Return the drop-in. exec_values: ExecStart= in force; options: of the launcher.

    scope: "--user " for a user's manager. Raises ExecLineError.
    """
    remove = f"{'' if scope else 'sudo '}ksmrun wrap unit {scope}--remove {shlex.quote(unit.name)}"
    folder = "~/.config/systemd/user" if scope else "/etc/systemd/system"
    running = shlex.quote(unit.name.replace("@.", "@*.") if unit.template else unit.name)
    text = header(
        f"wrap unit {scope}{unit.name}",
        "it is started with its memory merged",
        remove,
        without_ksmrun(folder, unit.name, running, scope),
    )
    text += f"{FINGERPRINT}{fingerprint(exec_values)}\n"
    if key is not None:
        text += f"[Unit]\nWants={key.unit}\nAfter={key.unit}\n"
    if method is Method.MEMORY_KSM:
        return text + "[Service]\nMemoryKSM=yes\n"

    def words(command: Command) -> list[str]:
        quoted = [quote(word, expands=command.expands) for word in (str(LAUNCHER), *options)]
        return quoted if key is None else [*quoted, key.option]

    lines = ["ExecStart=", *(f"ExecStart={wrap(value, words)}" for value in exec_values)]
    lines += [] if key is None else key.settings
    lines += [] if claim is None or hides_trust(unit) else claim.settings
    return text + "\n".join(["[Service]", *lines, *visibility(unit, claim)]) + "\n"


def visibility(unit: UnitFacts, claim: DomainClaim | None = None) -> list[str]:
    """Return settings that let the service see and execute the launcher in spite of its sandbox."""
    settings = []
    has_root = bool(unit.value("RootDirectory") or unit.value("RootImage"))
    hidden = unit.value("TemporaryFileSystem").split()
    if has_root or any(_covers(word) for word in hidden):
        settings.append(f"BindReadOnlyPaths={LIBEXEC}")
    if claim is not None and hides_trust(unit):
        # Root may not have made it yet.
        settings.append(f"BindReadOnlyPaths=-{TRUST_FOLDER}")
    if any(_covers(word) for word in unit.value("NoExecPaths").split()):
        settings.append(f"ExecPaths={LIBEXEC}")
    return settings


def hides_trust(unit: UnitFacts) -> bool:
    """Return whether the state of trust domains is hidden, also from commands with the prefix +.

    These have no sandbox, but the same root, temporary file systems and binds (systemd's
    src/core/execute.c: apply_mount_namespace).
    """
    hidden = unit.value("TemporaryFileSystem").split()
    has_root = bool(unit.value("RootDirectory") or unit.value("RootImage"))
    return has_root or any(_covers(word, TRUST_FOLDER) for word in hidden)


def is_inaccessible(unit: UnitFacts) -> bool:
    """Return whether the launcher is below an inaccessible path, where nothing can be mounted."""
    return any(_covers(word) for word in unit.value("InaccessiblePaths").split())


def _covers(word: str, place: Path = LIBEXEC) -> bool:
    """Return whether a path setting, with its prefix and options, covers a place."""
    path = word.lstrip("-+").partition(":")[0]
    return path.startswith("/") and place.is_relative_to(path)


def key_unit(ksmrun: str, place: KeyPlace) -> str:
    """Return the unit that makes a group's key before the first service that needs it."""
    file = KeyPlace("%i", place.user).file
    remove = "`ksmrun wrap unit --remove` of the last service that needs it deletes it"
    command = f"{program_word(ksmrun)} layout key %i --output {file}"
    return (
        header("wrap unit --layout shared", "makes the key of a shared layout", remove)
        + "[Unit]\nDescription=Key of the shared address layout %i\n"
        + f"ConditionPathExists=!{file}\n"
        + f"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={command}\n"
    )


def fingerprint(exec_values: Iterable[str]) -> str:
    """Return a hash that shows a change of the wrapped commands, without the drop-in."""
    # Imported here: it loads OpenSSL, which `ksmrun status` needs only where something is wrapped.
    import hashlib

    return hashlib.sha256("\n".join(exec_values).encode("utf-8", "surrogateescape")).hexdigest()


def written_fingerprint(text: str) -> str | None:
    """Return the fingerprint in one of our drop-ins."""
    found = re.search(f"^{re.escape(FINGERPRINT)}([0-9a-f]{{64}})$", text, re.MULTILINE)
    return found[1] if found else None


def unwrapped(command: ExecCommand) -> ExecCommand:
    """Return the command without the launcher, for comparing before and after."""
    if not set(command.argv[:1]) & set(LAUNCHERS) or "--" not in command.argv:
        return ExecCommand(simplified(command.path), command.argv, command.flags)
    at = command.argv.index("--")
    options, (path, *rest) = command.argv[1:at], command.argv[at + 1 :]
    if "no-env-expand" not in command.flags:
        path = path.replace("$$", "$")
    argv0 = options[options.index("--argv0") + 1] if "--argv0" in options else path
    return ExecCommand(simplified(path), (argv0, *rest), command.flags)
