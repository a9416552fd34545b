"""`ksmrun wrap quadlet`: a drop-in that starts a container of Podman's Quadlet merged."""

from __future__ import annotations

import os
from pathlib import Path

from ksmrun.commands.declare import Registry, declare
from ksmrun.commands.output import print_file, print_line
from ksmrun.commands.wrap.unit_apply import (
    apply,
    journal,
    later,
    quadlet_folder,
    refuse_failed,
    take_away,
    unit_folder,
)
from ksmrun.commands.wrap.unit_check import check_unit, describe, show_check
from ksmrun.commands.wrap.unit_domain import domain_claim
from ksmrun.facts.systemd import Systemd
from ksmrun.host.installed_launcher import refuse_unsafe
from ksmrun.host.layout_keys import group_label, keys_folder
from ksmrun.host.unit_restart import restart
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.model.launch import LayoutMode
from ksmrun.model.wrap import DROP_IN, INSTALL_LAUNCHER, OCI_RUNTIME
from ksmrun.options.wrap import QUADLET, QuadletOptions
from ksmrun.support.paste import own_program
from ksmrun.support.words import quoted
from ksmrun.wrap.dropin import KEY_UNIT, KeyPlace, key_unit
from ksmrun.wrap.quadlet import render


def register(registry: Registry) -> None:
    """Add the command."""
    declare(registry, QUADLET, quadlet)


def quadlet(options: QuadletOptions) -> None:
    """Show, check, write or remove the drop-in."""
    name, user, now = options.name, options.user, options.now
    systemd = Systemd(user)
    file = name if name.endswith(".container") else f"{name}.container"
    if file == ".container":
        raise UsageError(f"{quoted(name)} is not the name of a file", "give it as in web.container")
    if "/" in file:
        raise UsageError(f"{file} is a path", "give the name of the file without its folder")
    drop_in = quadlet_folder(user=user) / f"{file}.d" / DROP_IN
    service = f"{file.removesuffix('.container')}.service"
    if options.check:
        show_check(systemd, service, as_json=options.as_json)
        return
    if options.remove:
        _remove(systemd, drop_in, service, now=now)
        return
    key = None
    if options.layout is LayoutMode.SHARED:
        group_label(keys_folder(), options.layout_group)
        key = KeyPlace(options.layout_group, user)
    scope = "--user " if user else ""
    claim = domain_claim(options.domain, user=user, require=options.require)
    text = render(file, key, scope, require=options.require, claim=claim)
    files = [(drop_in, text)]
    if key is not None:
        files.insert(0, (unit_folder(user=user) / KEY_UNIT, key_unit(own_program(), key)))
    for path, content in files:
        print_file(f"# {path}\n{content}")
    if not options.show:
        _write(systemd, service, files, now=now)


def _write(systemd: Systemd, service: str, files: list[tuple[Path, str]], *, now: bool) -> None:
    if not os.access(OCI_RUNTIME, os.X_OK):
        raise KsmrunError(f"{OCI_RUNTIME} does not exist", f"first run: {INSTALL_LAUNCHER}")
    refuse_unsafe()
    if systemd.show(service).get("LoadState") != "loaded":
        raise KsmrunError(
            f"there is no {service}",
            "see what Quadlet generates: /usr/lib/systemd/system-generators/podman-system-generator"
            f" {'--user ' if systemd.user else ''}--dryrun",
        )

    def compare() -> None:
        if not any(f"--runtime={OCI_RUNTIME}" in each.argv for each in systemd.commands(service)):
            lines = " ".join(files[-1][1].splitlines()[-2:])
            raise KsmrunError(
                "Quadlet did not read the drop-in, as in Podman before 5.0; the change was "
                "taken back",
                f"add to the file itself, below [Container]: {lines}",
            )

    def judge(name: str) -> None:
        found = check_unit(systemd, name)
        refuse_failed(systemd, found)
        for line in describe(found):
            print_line(line)

    apply(systemd, files, compare=compare, services=[service] if now else [], judge=judge)
    if not now:
        print_line(later(systemd, service))


def _remove(systemd: Systemd, drop_in: Path, service: str, *, now: bool) -> None:
    removed = take_away(systemd, [drop_in])
    if not removed:
        raise KsmrunError(f"{drop_in} does not exist", "see `ksmrun wrap list`")
    for path in removed:
        print_line(f"{path} deleted")
    if not now:
        print_line(later(systemd, service))
    elif not restart(systemd, service):
        raise KsmrunError(f"{service} does not start", journal(systemd, service))
