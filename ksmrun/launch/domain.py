"""Find out whether a program may merge in a trust domain, and have root's launches claim it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ksmrun.facts.trust_containers import ContainerReader
from ksmrun.facts.trust_mergers import find_mergers
from ksmrun.facts.trust_traits import own_traits
from ksmrun.host.trust_state import read_trust_state
from ksmrun.launch.trust_claim import claim, required_trust
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.model.launch import TargetFacts
from ksmrun.model.trust import DOMAIN_NAME, Traits, Trust
from ksmrun.plan.domain import Denial
from ksmrun.plan.trust import members, refusal, unknown, why_not_member
from ksmrun.support.words import quoted


def check_domain(name: str) -> None:
    """Raise UsageError if this cannot be the name of a domain."""
    if DOMAIN_NAME.fullmatch(name) is None:
        raise UsageError(
            f"{quoted(name)} is not the name of a trust domain",
            "give up to 63 lower-case letters, digits and hyphens, the first being no hyphen",
        )


def require_domain(name: str) -> None:
    """Raise KsmrunError if the trust file of this host does not have the domain."""
    check_domain(name)
    trust = required_trust()
    if name not in trust.names:
        raise KsmrunError(*unknown(trust, name))


def refused(name: str, target: TargetFacts, *, claims: bool) -> Denial | None:
    """Return why the program may not merge in this domain, and what to do; None if it may.

    The trust file has to put the program there, whoever starts it. claims: root makes the domain
    the one that may merge, if it can; else it is only looked whether it could. Whatever fails, the
    program may not merge.
    """
    try:
        trust = required_trust()
        found = why_not_member(trust, name, _traits(target))
        if found is None and os.geteuid() != 0:
            # The launcher asks once more, below the lock.
            return _elsewhere(name)
        if found is None and claims:
            claim(name)
        elif found is None:
            return _lost(trust, name)
        return found
    except KsmrunError as error:
        return error.what, error.todo
    except OSError as error:
        place = error.filename or "a system call"
        what = f"trust domains cannot be read: {place}: {error.strerror}"
        return what, "check that /proc is mounted, and the limits (ulimit -a)"
    except MemoryError:
        return "trust domains cannot be read: out of memory", "raise the limits (ulimit -v and -d)"


def _traits(target: TargetFacts) -> Traits:
    """Return what the process will be after its exec."""
    traits = own_traits()
    if target.path is None:
        return replace(traits, executable=None)
    path = Path(os.path.realpath(target.path))
    status = path.stat()
    uids, gids = traits.uids, traits.gids
    if target.setuid:
        uids = (*uids[:1], status.st_uid, status.st_uid)
    if target.setgid:
        gids = (*gids, status.st_gid)
    # None where paths say nothing: in a container, or a user namespace.
    executable = None if traits.executable is None else str(path)
    return replace(traits, uids=uids, gids=gids, executable=executable)


def _elsewhere(name: str) -> Denial | None:
    """Return which other domain may merge now, for those who cannot claim."""
    state = read_trust_state()
    if state is not None and state.domain == name:
        return None
    held = "no trust domain" if state is None or state.domain is None else state.domain
    what = f"{held} may merge on this host now, and not {name}"
    return what, f"have root run: ksmrun trust claim {name}"


def _lost(trust: Trust, name: str) -> Denial | None:
    """Return what a claim would lose to. Raises KsmrunError where it would fail."""
    read_trust_state()
    mergers = find_mergers(ContainerReader(asks=trust.asks_engines))
    return refusal(trust, name, members(trust, mergers.found), mergers.unread)
