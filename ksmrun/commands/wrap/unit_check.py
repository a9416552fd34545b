"""Check from outside whether a running service merges."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer

from ksmrun.commands.output import mib, print_json, print_line
from ksmrun.commands.wrap.unit_plan import exec_values_of
from ksmrun.facts.cgroup import members, payload
from ksmrun.facts.host import read_host
from ksmrun.facts.systemd import Systemd, drop_ins
from ksmrun.model.errors import KsmrunError
from ksmrun.model.wrap import DROP_IN, INSTALL_LAUNCHER, LAUNCHERS, OCI_RUNTIMES, UnitFacts
from ksmrun.observe.processes import read_process
from ksmrun.support.foreign import raise_shortage, read_text
from ksmrun.wrap.dropin import fingerprint, written_fingerprint

SCHEMA = "ksmrun-wrap-unit-1"


@dataclass(frozen=True)
class UnitCheck:
    """Result.

    processes: in the service's control group. problems: (what, to do), the worst first.
    """

    name: str
    state: str
    result: str
    main_pid: int
    wrapped_by: str | None
    processes: int
    merging: int
    profit_bytes: int
    problems: tuple[tuple[str, str], ...]

    @property
    def merges(self) -> bool:
        """Return whether every process that could be read merges."""
        return self.merging > 0 and self.merging == self.processes

    def fields(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return {**asdict(self), "merges": self.merges}


def check_unit(systemd: Systemd, name: str) -> UnitCheck:
    """Check every process of the service. Raises KsmrunError if there is no such service."""
    if "@." in name:
        raise KsmrunError(
            f"{name} is a template, which never runs itself",
            f"give an instance: systemctl list-units '{name.replace('@.', '@*.')}'",
        )
    unit = systemd.unit(name, DROP_IN)
    if unit.value("LoadState") != "loaded":
        raise KsmrunError(
            f"{name}: {unit.value('LoadState')}",
            "check the name: systemctl list-units --all --type=service",
        )
    group = unit.value("ControlGroup")
    pids = payload(members(group)) if group else ()
    found = [_look_at(pid) for pid in pids]
    alive = [each for each in found if each is not None]
    merging = [profit for merges, profit in alive if merges]
    wrapped_by = _wrapped_by(unit)
    return UnitCheck(
        name=unit.name,
        state=unit.value("ActiveState"),
        result=unit.value("SubState"),
        main_pid=int(unit.value("MainPID") or 0),
        wrapped_by=wrapped_by,
        processes=len(alive),
        merging=len(merging),
        profit_bytes=sum(merging),
        problems=tuple(_problems(unit, systemd, wrapped_by, len(alive), len(merging))),
    )


def describe(found: UnitCheck) -> list[str]:
    """Return the text for the operator: one line, and one for each problem."""
    how = f" ({found.wrapped_by})" if found.wrapped_by else ""
    if found.merges:
        saved = mib(found.profit_bytes)
        first = f"merging is on in all {found.processes} processes, which save {saved} MiB"
    elif found.processes == 0:
        first = f"no process ({found.state}, {found.result})"
    else:
        first = f"merging is on in {found.merging} of {found.processes} processes"
    return [
        f"{found.name}: {first}{how}",
        *(f"{what}; to do: {todo}" for what, todo in found.problems),
    ]


def show_check(systemd: Systemd, name: str, *, as_json: bool) -> None:
    """Print the result; ends with exit code 1 if not every process merges."""
    found = check_unit(systemd, name)
    if as_json:
        print_json(SCHEMA, **found.fields())
    else:
        for line in describe(found):
            print_line(line)
    if not found.merges:
        raise typer.Exit(1)


def _look_at(pid: int) -> tuple[bool, int] | None:
    """Return whether it merges, and its profit; None if it has ended."""
    try:
        process = read_process(pid)
    except PermissionError as error:
        raise KsmrunError(
            f"PID {pid} belongs to another user, and cannot be read", "run this as root"
        ) from error
    except OSError as error:
        raise_shortage(error)
        return None
    return (False, 0) if process is None else (True, process.profit_bytes or 0)


def _wrapped_by(unit: UnitFacts) -> str | None:
    if unit.value("MemoryKSM") == "yes":
        return "MemoryKSM=yes"
    words = {word for command in unit.commands for word in command.argv}
    if words & {f"--runtime={path}" for path in OCI_RUNTIMES}:
        return "ksmrun-oci"
    if any(command.argv[0] in LAUNCHERS for command in unit.commands):
        return "launcher"
    return None


def _problems(
    unit: UnitFacts, systemd: Systemd, wrapped_by: str | None, processes: int, merging: int
) -> list[tuple[str, str]]:
    problems = []
    source = unit.value("SourcePath")
    is_quadlet = source.endswith(".container")
    what = ("quadlet", Path(source).name) if is_quadlet else ("unit", unit.name)
    own = systemd.to_paste("ksmrun", "wrap", *what, *systemd.scope, "--now")
    if wrapped_by is None:
        problems.append((f"{unit.name} is not wrapped", own))
    elif processes == 0:
        problems += _idle(unit, systemd)
    elif merging < processes:
        problems.append(
            (
                "it was started before it was wrapped, or its kernel lost the flag",
                systemd.to_paste("systemctl", *systemd.scope, "restart", unit.name),
            )
        )
    launchers = {command.argv[0] for command in unit.commands} & set(LAUNCHERS)
    for path in sorted(launchers):
        if not Path(path).exists():
            problems.insert(0, (f"{path} is missing: it will not start", INSTALL_LAUNCHER))
    if merging and read_host().ksm.run != 1:
        problems.append(("ksmd is off: nothing merges yet", "run: sudo ksmrun host on"))
    written = _written(unit)
    if written is not None and written != fingerprint(exec_values_of(unit)):
        problems.append(("its ExecStart= has changed since it was wrapped", own))
    return problems


def _written(unit: UnitFacts) -> str | None:
    """Return the fingerprint in our drop-in, if there is one."""
    for path in drop_ins(unit.properties):
        if path.name == DROP_IN:
            return written_fingerprint(read_text(path) or "")
    return None


def _idle(unit: UnitFacts, systemd: Systemd) -> list[tuple[str, str]]:
    if unit.value("ActiveState") == "active":
        pattern = f"{unit.name.removesuffix('.service')}*"
        lists = shlex.join(["systemctl", *systemd.scope, "list-units", pattern])
        return [
            (
                f"{unit.name} runs no process of its own; it may stand for others",
                f"look for them: {lists}",
            )
        ]
    state, start = (
        unit.value("ActiveState"),
        systemd.to_paste("systemctl", *systemd.scope, "start", unit.name),
    )
    if state != "failed":
        return [(f"it is not running ({state})", start)]
    # systemd refuses to start it while its start limit is hit (systemd.unit(5)).
    log = systemd.to_paste("journalctl", *systemd.scope, "-u", unit.name)
    reset = systemd.to_paste("systemctl", *systemd.scope, "reset-failed", unit.name)
    return [
        (
            f"it is not running ({state}, {unit.value('Result') or 'unknown result'})",
            f"see why: {log}; then: {reset} && {start}",
        )
    ]
