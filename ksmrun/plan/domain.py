"""Decide whether a program may merge in its trust domain by the chosen mechanism. Pure."""

from __future__ import annotations

from ksmrun.model.launch import Mechanism, MergeMode, Probe, Request
from ksmrun.plan.mechanism import Choice, is_never_scanned

# What happened, and what to do.
Denial = tuple[str, str]
TODO = (
    "boot Linux 6.12 or later, and leave --mechanism and --exclude-secrets out; or leave --domain "
    "out where all that merges on this host may know its memory"
)


def sets_flag_before(mechanism: Mechanism | None, probe: Probe | None) -> bool:
    """Return whether the flag is set before the exec, and kept over it, also where a shim helps."""
    if mechanism is Mechanism.PRELOAD:
        return probe is not None and bool(probe.kept_over_exec) and not is_never_scanned(probe)
    return mechanism in (Mechanism.PRCTL, None)


def asks_domain(request: Request) -> bool:
    """Return whether a domain decides about the launch: without merging none does."""
    return request.domain is not None and request.merge is not MergeMode.OFF


def denial(
    request: Request, probe: Probe | None, choice: Choice, refused: Denial | None
) -> Denial | None:
    """Return why the program may not merge; None if it may, as far as it is known before its start.

    refused: what was found out about its domain. What makes memory merge after the exec would do so
    when the launcher holds the domains' lock no more, so that another domain could merge by then.
    """
    if not asks_domain(request):
        return None
    is_late = request.exclude_secrets or not sets_flag_before(choice.mechanism, probe)
    if refused is None and is_late:
        what = (
            f"trust domain {request.domain} cannot be guarded, because memory is made to merge "
            f"only after the exec ({choice.mechanism}: {choice.reason})"
        )
        return what, TODO
    return refused
