"""`ksmrun wrap unit`: a drop-in that starts a service merged."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ksmrun.commands.output import print_file, print_line, say
from ksmrun.commands.unit_apply import (
    apply,
    instances,
    journal,
    later,
    refuse_failed,
    take_away,
    unit_folder,
)
from ksmrun.commands.unit_check import check_unit, describe, show_check
from ksmrun.commands.unit_plan import Options, UnitPlan, plan_unit, unit_name
from ksmrun.facts.domain import domain_of
from ksmrun.facts.systemd import Systemd
from ksmrun.host.services import restart
from ksmrun.model import (
    KsmrunError,
    LayoutMode,
    LayoutScope,
    Mechanism,
    SeedMode,
    ThpMode,
)
from ksmrun.model.wrap import DROP_IN, LAUNCHER, ExecCommand, Method
from ksmrun.wrap.dropin import KEY_UNIT, unwrapped


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("unit", epilog="Example: sudo ksmrun wrap unit --now nginx")(unit)


def unit(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A service; NAME@ is all instances of a template."),
    ],
    show: Annotated[
        bool, typer.Option("--print", help="Show the drop-in, and change nothing.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take the drop-in away.")] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Does the running service merge? Exit code 1 if it does not."),
    ] = False,
    now: Annotated[
        bool,
        typer.Option(
            "--now", help="Restart it. If it does not start so, it gets back what it had."
        ),
    ] = False,
    user: Annotated[bool, typer.Option("--user", help="A service of your own manager.")] = False,
    method: Annotated[
        Method,
        typer.Option(
            help="The launcher before the command, or systemd's MemoryKSM=yes; auto tries that, "
            "and takes it where it works and is enough."
        ),
    ] = Method.AUTO,
    mechanism: Annotated[Mechanism, typer.Option(help="As for `ksmrun run`.")] = Mechanism.AUTO,
    require: Annotated[
        bool, typer.Option("--require", help="Do not start the service unmerged.")
    ] = False,
    thp: Annotated[ThpMode, typer.Option(help="As for `ksmrun run`.")] = ThpMode.KEEP,
    layout: Annotated[LayoutMode, typer.Option(help="As for `ksmrun run`.")] = LayoutMode.RANDOM,
    layout_group: Annotated[
        str, typer.Option(metavar="NAME", help="As for `ksmrun run`.")
    ] = "default",
    layout_scope: Annotated[
        LayoutScope, typer.Option(help="As for `ksmrun run`.")
    ] = LayoutScope.PROGRAM,
    seeds: Annotated[SeedMode, typer.Option(help="As for `ksmrun run`.")] = SeedMode.SHARED,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --check: print one JSON object.")
    ] = False,
) -> None:
    """Start a service merged. A drop-in wraps its ExecStart; --remove removes it.

    Prefixes, quotes, specifiers and $VAR stay as they are. systemd is asked before and after: if it
    does not read the same command, the drop-in is removed again.
    """
    if sum((show, remove, check)) > 1:
        raise KsmrunError("--print, --remove and --check exclude each other", "give one of them")
    systemd, full_name = Systemd(user), unit_name(name)
    if check:
        show_check(systemd, full_name, as_json=as_json)
    elif remove:
        _remove(systemd, full_name, now=now)
    else:
        options = Options(
            method, mechanism, require, thp, layout, layout_group, layout_scope, seeds
        )
        plan = plan_unit(systemd, full_name, options, compares_domains=now)
        for line in plan.notes:
            say(line)
        for file, text in files_of(plan):
            print_file(f"# {file}\n{text}")
        if not show:
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
        raise KsmrunError("another drop-in, read later, sets ExecStart= again", todo)
    if plan.method is Method.MEMORY_KSM and systemd.show(name).get("MemoryKSM") != "yes":
        raise KsmrunError("another drop-in, read later, sets MemoryKSM= again", todo)


def _judge(systemd: Systemd, plan: UnitPlan, name: str, domain: str | None) -> None:
    """Raise KsmrunError if it does not run, or runs in another security domain than before."""
    found = check_unit(systemd, name)
    refuse_failed(systemd, found)
    if plan.domain_source and domain and found.main_pid and domain_of(found.main_pid) != domain:
        raise KsmrunError(
            f"{name} ran as {domain}, and wrapped as {domain_of(found.main_pid)}"
            f" ({plan.domain_source}); it has back what it had",
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
