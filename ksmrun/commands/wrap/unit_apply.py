"""Write drop-ins so that everything can be undone; shared by `ksmrun wrap unit` and `quadlet`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ksmrun.commands.output import say
from ksmrun.commands.wrap.unit_check import UnitCheck
from ksmrun.facts.systemd import Systemd
from ksmrun.host.layout_keys import GROUP
from ksmrun.host.owned_files import is_foreign, remove_ours, write_ours
from ksmrun.host.unit_restart import reload_manager, restart
from ksmrun.model.errors import KsmrunError
from ksmrun.model.wrap import DROP_IN
from ksmrun.support.foreign import read_text
from ksmrun.support.interrupts import Interrupted, held, ignore, interruptible
from ksmrun.wrap.dropin import KEY_UNIT, KeyPlace

# Below each: NAME.service.d and NAME.container.d.
SYSTEM_FOLDERS = (Path("/etc/systemd/system"), Path("/etc/containers/systemd"))
USER_FOLDERS = (Path(".config/systemd/user"), Path(".config/containers/systemd"))


def unit_folder(*, user: bool) -> Path:
    """Return the folder of the administrator's, or a user's, own units (systemd.unit(5))."""
    return Path.home() / USER_FOLDERS[0] if user else SYSTEM_FOLDERS[0]


def quadlet_folder(*, user: bool) -> Path:
    """Return the folder of Quadlet's files (podman-systemd.unit(5))."""
    return Path.home() / USER_FOLDERS[1] if user else SYSTEM_FOLDERS[1]


def apply(
    systemd: Systemd,
    files: Sequence[tuple[Path, str]],
    *,
    bare: Callable[[], None] = lambda: None,
    compare: Callable[[], None],
    services: Sequence[str],
    judge: Callable[[str], None],
) -> None:
    """Write the files, and restart the services.

    If they exist already, bare() is called after they are moved away and before they are rewritten:
    an old drop-in hides what a package has changed below it. If compare(), a start or
    judge(service) raises KsmrunError, or a signal ends the command, files and services are
    restored.
    """
    before = {file: read_text(file) for file, _ in files}
    states = {service: systemd.show(service).get("ActiveState", "") for service in services}
    for file, _ in files:
        if is_foreign(file):
            raise KsmrunError(
                f"{file} was not written by ksmrun", "move it away, or add the lines to it yourself"
            )
    with interruptible():
        try:
            if any(text is not None for text in before.values()):
                with held():
                    for file in before:
                        remove_ours(file)
                reload_manager(systemd)
                bare()
            with held():
                for file, text in files:
                    write_ours(file, text)
            reload_manager(systemd)
            compare()
            for service in services:
                if not restart(systemd, service):
                    raise KsmrunError(
                        f"{service} does not start wrapped; the change was taken back",
                        journal(systemd, service),
                    )
                judge(service)
        except (KsmrunError, OSError, Interrupted) as error:
            try:
                ignore()
            except Interrupted:
                # It arrived just now.
                ignore()
            was_interrupted = isinstance(error, Interrupted)
            if was_interrupted:
                say(f"interrupted ({error}): every change was taken back; run the command again")
            _take_back(systemd, before, states, wait=not was_interrupted)
            down = [each for each in services if not _runs(states[each])]
            if isinstance(error, KsmrunError) and down:
                raise KsmrunError(f"{error.what}{_before(down[0], states)}", error.todo) from error
            raise


def _runs(state: str) -> bool:
    return state not in ("failed", "inactive", "deactivating")


def _before(service: str, states: Mapping[str, str]) -> str:
    """Return what to know of a service that did not run before it was wrapped."""
    if states[service] == "failed":
        return f" ({service} had failed before, too, so its wrap need not be the cause)"
    return f" ({service} did not run before, and is stopped again)"


def _take_back(
    systemd: Systemd, before: Mapping[Path, str | None], states: Mapping[str, str], *, wait: bool
) -> None:
    """Write what was there before, and restart the services with it that ran before."""
    for file, old_text in before.items():
        if old_text is None:
            remove_ours(file)
        else:
            write_ours(file, old_text)
    reload_manager(systemd)
    for service, state in states.items():
        if _runs(state):
            restart(systemd, service, wait=wait)
            continue
        systemd.call("systemctl", "stop", *(() if wait else ("--no-block",)), "--", service)
        if state != "failed":
            systemd.call("systemctl", "reset-failed", "--", service)


def refuse_failed(systemd: Systemd, found: UnitCheck) -> None:
    """Raise KsmrunError if the service is not up."""
    if found.state in ("failed", "activating"):
        raise KsmrunError(
            f"{found.name} does not start wrapped ({found.result}); the change was taken back",
            journal(systemd, found.name),
        )


def journal(systemd: Systemd, name: str) -> str:
    """Return the command that shows the service's log."""
    return f"look at: {systemd.to_paste('journalctl', *systemd.scope, '-u', name)}"


def take_away(systemd: Systemd, drop_ins: Sequence[Path]) -> list[Path]:
    """Delete these drop-ins, and with the last that needs a group's key also its unit.

    Returns what was deleted.
    """
    removed = [path for path in drop_ins if remove_ours(path)]
    folder = unit_folder(user=systemd.user)
    wanted = "".join(
        read_text(file) or ""
        for place in (folder, quadlet_folder(user=systemd.user))
        for file in place.glob(f"*.d/{DROP_IN}")
    )
    for key in _made_keys(systemd):
        unit = KeyPlace(key.stem, systemd.user).unit
        if unit not in wanted:
            systemd.call("systemctl", "stop", "--", unit)
            key.unlink(missing_ok=True)
    if KEY_UNIT.partition("@")[0] not in wanted and remove_ours(folder / KEY_UNIT):
        removed.append(folder / KEY_UNIT)
    if removed:
        reload_manager(systemd)
    return removed


def _made_keys(systemd: Systemd) -> list[Path]:
    """Return the keys that units of this manager made, not those that were there before.

    The unit stays active (RemainAfterExit=) only where its ConditionPathExists=! held.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    folder = Path(KeyPlace("", systemd.user).file.replace("%t", runtime)).parent
    return [
        key
        for key in folder.glob("*.key")
        if GROUP.fullmatch(key.stem)
        and systemd.show(KeyPlace(key.stem, systemd.user).unit).get("ActiveState") == "active"
    ]


def instances(systemd: Systemd, name: str) -> list[str]:
    """Return what is running under this name: for a template, all its instances."""
    if "@." not in name:
        return [name]
    options = ("--plain", "--no-legend", "--state=active")
    # A backslash is literal there (FNM_NOESCAPE in src/core/dbus-manager.c).
    pattern = name.replace("@.", "@*.")
    text = systemd.succeed("systemctl", "list-units", *options, "--", pattern)
    return [words[0] for line in text.split("\n") if (words := line.split())]


def later(systemd: Systemd, name: str) -> str:
    """Return what is left to do without --now."""
    restarts = systemd.to_paste("systemctl", *systemd.scope, "restart", name)
    return f"it takes effect at the next start; to do: {restarts}"
