"""`ksmrun wrap unit`: a drop-in that starts a service merged."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from ksmrun.commands.declare import Registry, declare
from ksmrun.commands.output import print_file, print_line, say
from ksmrun.commands.wrap.unit_apply import (
    apply,
    instances,
    journal,
    later,
    refuse_failed,
    take_away,
    unit_folder,
)
from ksmrun.commands.wrap.unit_check import check_unit, describe, show_check
from ksmrun.commands.wrap.unit_plan import UnitPlan, plan_unit, unit_name
from ksmrun.facts.domain import domain_of
from ksmrun.facts.systemd import Systemd
from ksmrun.host.unit_restart import restart
from ksmrun.model.errors import KsmrunError
from ksmrun.model.wrap import DROP_IN, LAUNCHER, ExecCommand, Method
from ksmrun.options.wrap import UNIT, UnitOptions
from ksmrun.wrap.dropin import KEY_UNIT, unwrapped


def register(registry: Registry) -> None:
    """Add the command."""
    declare(registry, UNIT, unit)


def unit(options: UnitOptions) -> None:
    """Show, check, write or remove the drop-in."""
    now = options.now
    systemd = Systemd(options.user)
    full_name = unit_name(systemd, options.name)
    if options.check:
        show_check(systemd, full_name, as_json=options.as_json)
    elif options.remove:
        _remove(systemd, full_name, now=now)
    else:
        plan = plan_unit(systemd, full_name, options, compares_domains=now)
        for line in plan.notes:
            say(line)
        for file, text in files_of(plan):
            print_file(f"# {file}\n{text}")
        if not options.show:
            _write(systemd, plan, now=now)


def files_of(plan: UnitPlan) -> list[tuple[Path, str]]:
    """Return all files to be written, in the order of their dependencies."""
    folder = unit_folder(user=plan.user)
    drop_in = (folder / f"{plan.unit.name}.d" / DROP_IN, plan.text)
    return [drop_in] if plan.key_text is None else [(folder / KEY_UNIT, plan.key_text), drop_in]


def _write(systemd: Systemd, plan: UnitPlan, *, now: bool) -> None:
    name = plan.unit.name
    services = instances(systemd, name) if now else []
    reference: list[ExecCommand] = []
    domains = {service: _domain(systemd, service) for service in services}
    apply(
        systemd,
        files_of(plan),
        bare=lambda: reference.extend(systemd.commands(plan.unit.properties["Id"])),
        compare=lambda: _compare(systemd, plan, reference or plan.unit.commands),
        services=services,
        judge=lambda service: _judge(systemd, plan, service, domains[service]),
    )
    if not now:
        print_line(later(systemd, name))


def _domain(systemd: Systemd, name: str) -> str | None:
    pid = systemd.show(name).get("MainPID", "0")
    return None if pid == "0" else domain_of(int(pid))


def _compare(systemd: Systemd, plan: UnitPlan, before: Sequence[ExecCommand]) -> None:
    """Raise KsmrunError unless systemd has the same commands as before, except for the launcher."""
    name = plan.unit.properties["Id"]
    after = systemd.commands(name)
    todo = "all was taken back; look at the drop-in with --print, and at `systemctl cat`"
    if [unwrapped(each) for each in after] != [unwrapped(each) for each in before]:
        read = " ; ".join(shlex.join(each.argv) for each in after)
        raise KsmrunError(f"systemd reads other commands from the drop-in: {read}", todo)
    is_wrapped = all(command.argv[0] == str(LAUNCHER) for command in after)
    if plan.method is Method.WRAPPER and not is_wrapped:
        raise KsmrunError("another drop-in, which systemd reads later, sets ExecStart= again", todo)
    if plan.method is Method.MEMORY_KSM and systemd.show(name).get("MemoryKSM") != "yes":
        raise KsmrunError("another drop-in, which systemd reads later, sets MemoryKSM= again", todo)


def _judge(systemd: Systemd, plan: UnitPlan, name: str, domain: str | None) -> None:
    """Raise KsmrunError if it does not run, or runs in another security domain than before."""
    found = check_unit(systemd, name)
    refuse_failed(systemd, found)
    if plan.domain_source and domain and found.main_pid and domain_of(found.main_pid) != domain:
        raise KsmrunError(
            f"{name} ran as {domain} before, and wrapped runs as {domain_of(found.main_pid)}"
            f" ({plan.domain_source}); the change was taken back",
            "use --method memory-ksm (systemd 256 or later)",
        )
    for line in describe(found):
        print_line(line)


def _remove(systemd: Systemd, name: str, *, now: bool) -> None:
    canonical = name if "@." in name else systemd.show(name).get("Id", name)
    # It may be gone, or have another name now.
    folder = unit_folder(user=systemd.user)
    drop_ins = [folder / f"{each}.d" / DROP_IN for each in dict.fromkeys((name, canonical))]
    removed = take_away(systemd, drop_ins)
    if not removed:
        raise KsmrunError(f"{name} is not wrapped by ksmrun", "see `ksmrun wrap list`")
    for path in removed:
        print_line(f"{path} deleted")
    for service in instances(systemd, canonical) if now else []:
        if not restart(systemd, service):
            raise KsmrunError(f"{service} does not start", journal(systemd, service))
    if not now:
        print_line(later(systemd, canonical))
