"""Decide which domain a process is in, and which domain may merge now. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from ksmrun.model.trust import (
    ContainerRule,
    ContainerTraits,
    Member,
    Merger,
    Rules,
    Traits,
    Trust,
)

PIDS_SHOWN = 3


def is_in(rules: Rules, traits: Traits) -> bool:
    """Return whether one of the rules covers the process."""
    # A setuid program has the rights of one user and was started by another.
    is_users = bool(traits.uids) and set(traits.uids) <= set(rules.uids)
    return (
        is_users
        or not set(traits.gids).isdisjoint(rules.gids)
        or any(fnmatchcase(unit, glob) for unit in traits.units for glob in rules.units)
        or _runs_one_of(rules.executables, traits.executable)
        or any(_is_one_of(rule, traits.container) for rule in rules.containers)
    )


def _runs_one_of(globs: Iterable[str], executable: str | None) -> bool:
    return executable is not None and any(fnmatchcase(executable, glob) for glob in globs)


def _is_one_of(rule: ContainerRule, container: ContainerTraits | None) -> bool:
    if container is None:
        return False
    image, labels = container.image, container.labels
    keys = {label.partition("=")[0] for label in labels}
    return (
        rule.runtime in (None, container.runtime)
        and rule.namespace in (None, container.namespace)
        and (rule.image is None or (image is not None and fnmatchcase(image, rule.image)))
        and (rule.label is None or rule.label in (labels if "=" in rule.label else keys))
    )


def domains_of(trust: Trust, traits: Traits) -> tuple[str, ...]:
    """Return the names of all domains that the process is in."""
    return tuple(each.name for each in trust.domains if is_in(each.rules, traits))


def member(trust: Trust, merger: Merger) -> Member:
    """Return where the file puts a merging process."""
    traits = merger.traits
    return Member(merger, domains_of(trust, traits), is_in(trust.exempt, traits))


def members(trust: Trust, mergers: Iterable[Merger]) -> tuple[Member, ...]:
    """Return where the file puts each merging process."""
    return tuple(member(trust, each) for each in mergers)


def holder(found: Sequence[Member], claimed: str | None) -> str | None:
    """Return the domain that merges by right: the claimed one, else that which began first.

    A claimed one without a merging process takes nothing from others. None if no domain merges.
    """
    known = [each for each in found if each.domain is not None and not each.is_exempt]
    if any(each.domain == claimed for each in known):
        return claimed
    first = min(known, key=lambda each: each.merger.start_ticks, default=None)
    return None if first is None else first.domain


def wrong_with(found: Member, held_by: str | None) -> str | None:
    """Return why a process should not merge now, as the end of a sentence; None if it may.

    held_by: see holder().
    """
    if found.is_exempt:
        return None
    if len(found.domains) > 1:
        return f"is in {len(found.domains)} trust domains, {' and '.join(found.domains)}"
    if found.domain is None:
        container = found.merger.traits.container
        if container is not None and not container.is_known:
            return "is in no trust domain, as its container's engine could not be asked"
        return "is in no trust domain"
    if held_by is None or found.domain == held_by:
        return None
    return f"is in trust domain {found.domain}, while {held_by} merges"


def may_enforce(found: Member, held_by: str | None) -> bool:
    """Return whether the process's merging may be ended without asking anybody.

    Not if it is in two domains, which is a mistake in the file, or if its engine was silent.
    """
    if found.merger.pid == 1 or wrong_with(found, held_by) is None:
        return False
    return len(found.domains) < 2 and found.merger.traits.is_known


def refusal(
    trust: Trust, name: str, found: Sequence[Member], unread: Sequence[int] = ()
) -> tuple[str, str] | None:
    """Return why this domain may not merge now, and what to do; None if it may."""
    if name not in trust.names:
        return unknown(trust, name)
    others = [each for each in found if not each.is_exempt and each.domain != name]
    if others:
        first = min(others, key=lambda each: each.merger.start_ticks)
        more = f", and {len(others) - 1} more" if len(others) > 1 else ""
        what = f"{who(first.merger)} merges, and {wrong_with(first, name)}{more}"
        if first.domain is not None:
            what = f"{who(first.merger)} of trust domain {first.domain} merges{more}"
        return what, f"{ending(first.merger)}, or wait until that has ended"
    if unread:
        shown = ", ".join(map(str, unread[:PIDS_SHOWN]))
        return (
            f"PID {shown} cannot be examined, and may merge",
            "run this on the host as root, with CAP_SYS_PTRACE",
        )
    return None


def unknown(trust: Trust, name: str) -> tuple[str, str]:
    """Return what to say of a domain that the file does not have."""
    listed = ", ".join(trust.names) or "none"
    return f"there is no trust domain {name}", f"give one of those in the trust file: {listed}"


def why_not_member(trust: Trust, name: str, traits: Traits) -> tuple[str, str] | None:
    """Return why a process that is to be started is not in this domain; None if it is."""
    if name not in trust.names:
        return unknown(trust, name)
    there = domains_of(trust, traits)
    if there == (name,):
        return None
    where = f"in {' and '.join(there)}" if there else "in none"
    return (
        f"the trust file does not put this program in {name}, but {where}",
        "add its unit, user, container or executable to that domain, see `ksmrun help trust`",
    )


def who(merger: Merger) -> str:
    """Return a process's name for people."""
    place = f", {merger.place}" if merger.place else ""
    return f"PID {merger.pid} ({merger.name}{place})"


def ending(merger: Merger) -> str:
    """Return the command that ends its merging."""
    return f"run: sudo ksmrun detach {merger.pid}"
