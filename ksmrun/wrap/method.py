"""Choose between systemd's own MemoryKSM= and the launcher before a service's command. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ksmrun.model.launch import Mechanism, MergeMode, Probe, Request, RuntimeFlags, ThpMode
from ksmrun.model.wrap import Method, UnitFacts
from ksmrun.plan.mechanism import Choice, adds_vmas

# System calls of the launcher for a shared layout; @system-service contains none of them.
LAYOUT_CALLS = ("ptrace",)
# System calls before its exec, beyond those of any program.
LAUNCHER_CALLS = ("prctl", "openat", "read", "close", "uname")
# systemd's SECCOMP_ERROR_NUMBER_KILL (src/shared/seccomp-util.h).
KILL = "2147483646"


@dataclass(frozen=True)
class MethodChoice:
    """Chosen method and the reason. refusal is set if it is not possible: (what, to do)."""

    method: Method
    reason: str
    refusal: tuple[str, str] | None = None


def launcher_needed_for(request: Request, probe: Probe | None, choice: Choice) -> str | None:
    """Return what MemoryKSM=yes cannot provide; None if the bare flag is all that is wanted."""
    if request.layout is not None:
        return "a shared layout needs the launcher"
    if request.domain is not None:
        return "--domain needs the launcher"
    if request.merge is not MergeMode.ON or request.thp is not ThpMode.KEEP:
        return "--merge and --thp need the launcher"
    if request.runtime_flags is not RuntimeFlags.OFF:
        return "--runtime-flags needs the launcher"
    if request.exclude_secrets:
        return "--exclude-secrets needs the launcher"
    if request.require or request.verify:
        return "--require and --verify need the launcher"
    if choice.mechanism is not Mechanism.PRCTL:
        return choice.reason
    if choice.obstacle is not None or adds_vmas(probe, choice):
        return "this kernel needs more than the flag"
    return None


def choose_method(asked: Method, works: bool | None, needed: str | None) -> MethodChoice:
    """Choose. works: whether a service with MemoryKSM=yes was seen to merge; None: not tried."""
    if asked is Method.WRAPPER:
        return MethodChoice(asked, "the launcher, as asked")
    if needed is not None:
        refusal = (f"MemoryKSM=yes is not enough: {needed}", "leave --method out")
        chosen = MethodChoice(Method.WRAPPER, f"the launcher: {needed}")
    elif works is None:
        refusal = ("systemd cannot be asked whether MemoryKSM=yes works", "run this as root")
        chosen = MethodChoice(Method.WRAPPER, "the launcher: MemoryKSM=yes could not be tried")
    elif not works:
        refusal = (
            "a service with MemoryKSM=yes fails or does not merge with this systemd and kernel",
            "leave --method out",
        )
        chosen = MethodChoice(Method.WRAPPER, "the launcher: MemoryKSM=yes does not work here")
    else:
        return MethodChoice(Method.MEMORY_KSM, "MemoryKSM=yes, which was tried and works here")
    return chosen if asked is Method.AUTO else MethodChoice(asked, "as asked", refusal)


def domain_source(unit: UnitFacts, *, selinux: bool) -> str | None:
    """Return what gives the service a security domain at its exec, which a launcher can lose."""
    profile, context = unit.value("AppArmorProfile"), unit.value("SELinuxContext")
    if profile:
        return f"AppArmorProfile={profile}"
    if context:
        return f"SELinuxContext={context}"
    # By the type of the executable's file (init_t to the service's own).
    return "SELinux" if selinux else None


def hides_main_pid(unit: UnitFacts) -> bool:
    """Return whether a second process in the cgroup hides the main one, and disables Restart=.

    systemd's src/core/service.c: service_search_main_pid(), unit_search_main_pid().
    """
    guesses = unit.value("Type") == "forking" and unit.value("GuessMainPID") != "no"
    return guesses and not unit.value("PIDFile")


def denied_layout_calls(unit: UnitFacts) -> tuple[str, ...]:
    """Return the calls of LAYOUT_CALLS that SystemCallFilter= denies."""
    return tuple(_denied(unit, LAYOUT_CALLS))


def killing_calls(unit: UnitFacts) -> tuple[str, ...]:
    """Return the calls of LAUNCHER_CALLS at which SystemCallFilter= kills the service (SIGSYS)."""
    usual = "kill" if unit.value("SystemCallErrorNumber") in ("", KILL) else "error"
    denied = _denied(unit, LAUNCHER_CALLS)
    return tuple(call for call, error in denied.items() if (error or usual) == "kill")


def _denied(unit: UnitFacts, calls: tuple[str, ...]) -> dict[str, str]:
    """Return the denied ones of these calls, each with its error; `systemctl show` lists names."""
    text = unit.value("SystemCallFilter")
    words = (word.partition(":") for word in text.removeprefix("~").split())
    errors = {name: error for name, _, error in words}
    if not text:
        return {}
    if text.startswith("~"):
        return {call: errors[call] for call in calls if call in errors}
    # In a list of allowed calls, one with an error is denied.
    return {call: errors.get(call, "") for call in calls if errors.get(call) != ""}
