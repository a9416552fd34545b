"""Plan of `ksmrun wrap unit`: ask systemd and the kernel, and let the plan decide."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ksmrun.commands.wrap.unit_domain import domain_claim, domain_notes
from ksmrun.facts.domain import selinux_enabled
from ksmrun.facts.launcher import cached_probe, shim_path
from ksmrun.facts.systemd import Systemd
from ksmrun.facts.target import look_at
from ksmrun.host.installed_launcher import refuse_unsafe
from ksmrun.host.layout_keys import group_label, keys_folder
from ksmrun.launch.prepare import prepare
from ksmrun.launch.runtime_variables import variables_of_unit
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.model.launch import (
    GuardMode,
    LayoutMode,
    LayoutScope,
    Refusal,
    Request,
    TargetFacts,
)
from ksmrun.model.wrap import DROP_IN, INSTALL_LAUNCHER, LAUNCHER, LIBEXEC, Method, UnitFacts
from ksmrun.options.wrap import UnitOptions
from ksmrun.support.foreign import read_text
from ksmrun.support.paste import own_program
from ksmrun.support.unitname import VALID, unit_type
from ksmrun.support.words import quoted
from ksmrun.wrap.dropin import KeyPlace, is_inaccessible, key_unit, render, unwrapped
from ksmrun.wrap.execline import ExecLineError, parse
from ksmrun.wrap.method import (
    choose_method,
    denied_layout_calls,
    domain_source,
    hides_main_pid,
    killing_calls,
    launcher_needed_for,
)
from ksmrun.wrap.unitfile import values

# systemd's own search path for a command without a slash (systemd.exec(5), ExecSearchPath=).
SEARCH_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
QUADLET_TYPES = (".container", ".pod", ".kube")


@dataclass(frozen=True)
class UnitPlan:
    """Text of the drop-in, that of the key unit if one is needed, and notes for the user."""

    unit: UnitFacts
    user: bool
    method: Method
    text: str
    key_text: str | None
    notes: tuple[str, ...]
    domain_source: str | None


def unit_name(systemd: Systemd, name: str) -> str:
    """Return the name with its suffix. Raises KsmrunError for what is no service."""
    if name.endswith(QUADLET_TYPES):
        raise KsmrunError(f"{name} is a Quadlet file", f"run: {_quadlet(systemd, name)}")
    full = name if unit_type(name) else f"{name}.service"
    if not full.endswith(".service"):
        raise UsageError(f"{full} is not a service", "give the service that it starts")
    if not name or full.startswith("-") or set(full) - set(f"{VALID}@"):
        raise UsageError(
            f"{quoted(name)} is not a valid unit name",
            "give it as `systemctl list-units` shows it",
        )
    return full


def plan_unit(
    systemd: Systemd, name: str, options: UnitOptions, *, compares_domains: bool
) -> UnitPlan:
    """Return the plan. Raises KsmrunError if the service cannot be wrapped."""
    unit = systemd.unit(name, DROP_IN)
    if unit.value("NeedDaemonReload") == "yes" and (os.geteuid() == 0 or systemd.user):
        systemd.succeed("systemctl", "daemon-reload")
        unit = systemd.unit(name, DROP_IN)
    _refuse_unusable(unit, systemd)
    exec_values = exec_values_of(unit)
    if not exec_values:
        raise KsmrunError(
            f"{unit.name} has no ExecStart=, so there is nothing to wrap",
            "give the service that starts the program",
        )
    if all(command.path.endswith("/true") for command in map(unwrapped, unit.commands)):
        instances = f"{unit.name.removesuffix('.service')}@*.service"
        raise KsmrunError(
            f"{unit.name} runs only {unit.commands[0].path}: other units do its work",
            f"wrap the units that this lists: systemctl list-units '{instances}'",
        )
    key, layout_notes = _key(unit, options, user=systemd.user)
    if key is not None and options.layout_scope is LayoutScope.TREE and hides_main_pid(unit):
        what = (
            f"{unit.name} is Type=forking without PIDFile=, and with --layout-scope=tree a helper "
            "stays beside it, so systemd could not find out its main process"
        )
        todo = "set PIDFile= in a drop-in, if it writes one, and wrap it again"
        if options.require:
            raise KsmrunError(what, todo)
        layout_notes.append(f"{what}: --layout-scope=program is taken; to do: {todo}")
        options = replace(options, layout_scope=LayoutScope.PROGRAM)
    request, target = _request(unit, exec_values, options, key)
    probe = cached_probe()
    shim = shim_path(LIBEXEC)
    variables = variables_of_unit(options.runtime_flags, target, _arguments(unit), _variables(unit))
    prepared = prepare(request, os.fsencode(LAUNCHER), probe, target, shim, variables)
    if prepared.denied is not None:
        raise KsmrunError(*prepared.denied)
    needed = launcher_needed_for(request, probe, prepared.choice)
    wants_trial = options.method is not Method.WRAPPER and needed is None
    works = systemd.memory_ksm_works() if wants_trial else None
    chosen = choose_method(options.method, works, needed)
    if chosen.refusal is not None:
        raise KsmrunError(*chosen.refusal)
    notes = [
        f"{unit.name}: {chosen.reason}",
        *layout_notes,
        *domain_notes(unit, options.domain, user=systemd.user),
    ]
    source = None
    launcher_options: list[str] = []
    if chosen.method is Method.WRAPPER:
        source = domain_source(unit, selinux=selinux_enabled() and not systemd.user)
        _refuse_launcher(unit, source, compares_domains=compares_domains)
        plan = prepared.plan
        if isinstance(plan, Refusal):
            raise KsmrunError(plan.what, plan.todo)
        notes += [*prepared.notes, *plan.reasons[1:], *plan.said, *plan.warnings]
        words = plan.argv[1 : plan.argv.index(b"--")]
        # The key's place is written with systemd's specifiers.
        launcher_options = [os.fsdecode(w) for w in words if not w.startswith(b"--layout-key=")]
    scope = "--user " if systemd.user else ""
    try:
        text = render(
            unit,
            chosen.method,
            exec_values,
            launcher_options,
            key,
            scope,
            domain_claim(options.domain, user=systemd.user, require=options.require),
        )
    except ExecLineError as error:
        raise KsmrunError(
            f"{unit.name}: ExecStart= cannot be wrapped: {error}", "simplify it"
        ) from error
    return UnitPlan(
        unit=unit,
        user=systemd.user,
        method=chosen.method,
        text=text,
        key_text=None if key is None else key_unit(own_program(), key),
        notes=tuple(notes),
        domain_source=source,
    )


def exec_values_of(unit: UnitFacts) -> tuple[str, ...]:
    """Return ExecStart= without our drop-in. Raises KsmrunError if a file cannot be read."""
    texts = [read_text(path) for path in unit.files]
    for path, text in zip(unit.files, texts, strict=True):
        if text is None:
            raise KsmrunError(f"cannot read {path}", "run this as root")
    return values([text for text in texts if text is not None], "Service", "ExecStart")


def _refuse_unusable(unit: UnitFacts, systemd: Systemd) -> None:
    state = unit.value("LoadState")
    if state != "loaded":
        # D-Bus name, then its name in sentences.
        said = unit.value("LoadError").partition(" ")[2].strip('"')
        raise KsmrunError(
            f"{unit.name}: {said or state}",
            "check the name: systemctl list-unit-files '*.service'",
        )
    if unit.value("Transient") == "yes":
        raise KsmrunError(
            f"{unit.name} is transient, and has no file for a drop-in to extend",
            f"put `{LAUNCHER} --` before the command that systemd-run is given",
        )
    if unit.value("SourcePath").endswith(".container"):
        source = Path(unit.value("SourcePath")).name
        raise KsmrunError(
            f"{unit.name} is generated from {source} by Quadlet",
            f"run: {_quadlet(systemd, source)}",
        )


def _quadlet(systemd: Systemd, file: str) -> str:
    return systemd.to_paste("ksmrun", "wrap", "quadlet", *systemd.scope, file)


def _refuse_launcher(unit: UnitFacts, source: str | None, *, compares_domains: bool) -> None:
    """Refuse a launcher that could vanish, or that would cost the service its security domain."""
    if not os.access(LAUNCHER, os.X_OK):
        raise KsmrunError(f"{LAUNCHER} does not exist", f"first run: {INSTALL_LAUNCHER}")
    refuse_unsafe()
    without = "use --method memory-ksm (systemd 256 or later), which has no launcher"
    if is_inaccessible(unit):
        raise KsmrunError(f"InaccessiblePaths= of {unit.name} hides {LIBEXEC}", without)
    if calls := killing_calls(unit):
        raise KsmrunError(
            f"SystemCallFilter= of {unit.name} kills a process that calls "
            f"{', '.join(calls)}, as the launcher does",
            f"{without}; if only prctl is denied, SystemCallErrorNumber=EPERM in a "
            "drop-in is enough",
        )
    if source is None:
        return
    is_running = unit.value("MainPID") not in ("", "0")
    if not compares_domains or not is_running:
        raise KsmrunError(
            f"{unit.name} gets its security domain at exec ({source}), and a launcher "
            "could change it",
            "start it and use --now, which compares the domain and undoes the change if it differs",
        )


def _request(
    unit: UnitFacts, exec_values: Sequence[str], options: UnitOptions, key: KeyPlace | None
) -> tuple[Request, TargetFacts]:
    first = _first_path(unit, exec_values)
    if "/" not in first and any(
        "PATH=" in unit.value(p) or (p != "Environment" and unit.value(p))
        for p in ("Environment", "EnvironmentFiles", "ExecSearchPath")
    ):
        raise KsmrunError(
            f"ExecStart= gives {first} without its folder, and the unit may set PATH",
            "give the whole path in ExecStart=",
        )
    root = unit.value("RootDirectory")
    seen = f"{root}{first}" if root and first.startswith("/") else first
    request = replace(
        options.request((os.fsencode(first),)),
        domain=options.domain,
        # A service that is wrapped to start unmerged would help nobody.
        guard=GuardMode.REFUSE,
        layout=None if key is None else options.shared(b"", None),
    )
    arguments = [*map(os.fsencode, _arguments(unit))]
    return request, look_at(os.fsencode(seen), {b"PATH": SEARCH_PATH}, arguments)


def _arguments(unit: UnitFacts) -> tuple[str, ...]:
    return unwrapped(unit.commands[0]).argv[1:] if unit.commands else ()


def _variables(unit: UnitFacts) -> dict[str, str] | None:
    """Return the unit's own environment; None if a part is only read when it starts."""
    if unit.value("EnvironmentFiles") or unit.value("PassEnvironment"):
        return None
    try:
        entries = shlex.split(unit.value("Environment"))
    except ValueError:
        return None
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def _first_path(unit: UnitFacts, exec_values: Sequence[str]) -> str:
    """Return the path as in the files, or with specifiers as systemd has expanded them.

    An old drop-in of ours may hide that.
    """
    with contextlib.suppress(ExecLineError):
        path = parse(exec_values[0])[0].path
        if "%" not in path:
            return path
    return unwrapped(unit.commands[0]).path


def _key(unit: UnitFacts, options: UnitOptions, *, user: bool) -> tuple[KeyPlace | None, list[str]]:
    """Return the place of the group's key, if the service can have its layout, and notes."""
    if options.layout is not LayoutMode.SHARED:
        return None, []
    group_label(keys_folder(), options.layout_group)
    denied = denied_layout_calls(unit)
    if not denied:
        return KeyPlace(options.layout_group, user), []
    what = f"SystemCallFilter= of {unit.name} denies {', '.join(denied)}, which a layout needs"
    todo = f"allow it (SystemCallFilter={' '.join(denied)} in a drop-in), and wrap it again"
    if options.require:
        raise KsmrunError(what, todo)
    return None, [f"{what}: the service keeps the kernel's own layout; to do: {todo}"]
