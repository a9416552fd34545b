"""Claim the host's merging for a trust domain, or give it up. For root, who sees everybody."""

from __future__ import annotations

from pathlib import Path

from ksmrun.facts.pids import require_proc
from ksmrun.facts.trust_containers import ContainerReader
from ksmrun.facts.trust_file import read_trust
from ksmrun.facts.trust_mergers import find_mergers
from ksmrun.host.trust_state import claiming, read_trust_state, write_trust_state
from ksmrun.model.errors import KsmrunError
from ksmrun.model.trust import TRUST_FILE, TRUST_FOLDER, Trust
from ksmrun.plan.trust import members, refusal


def claim(name: str, file: Path = TRUST_FILE, folder: Path = TRUST_FOLDER) -> str:
    """Make this the domain that may merge; return the line to show.

    Raises KsmrunError, which says whom it lost to, if a process of another domain or of none
    merges; also if something of it cannot be known.
    """
    require_proc()
    trust = required_trust(file)
    with claiming(folder):
        before = read_trust_state(folder)
        mergers = find_mergers(ContainerReader(asks=trust.asks_engines))
        refused = refusal(trust, name, members(trust, mergers.found), mergers.unread)
        if refused is not None:
            raise KsmrunError(f"trust domain {name} may not merge now: {refused[0]}", refused[1])
        held_by = None if before is None else before.domain
        if held_by == name:
            return f"trust domain {name} may merge already"
        write_trust_state(name, folder)
        over = "" if held_by is None else f", in place of {held_by}, of which nothing merges"
        return f"trust domain {name} may merge now{over}"


def release(name: str | None = None, folder: Path = TRUST_FOLDER) -> str:
    """Let no domain start merging any more; return the line to show. Running programs stay.

    name: the domain that has to be the one that may merge; None: whichever it is, also after a
    state file that was damaged. Raises KsmrunError.
    """
    with claiming(folder):
        if name is not None:
            before = read_trust_state(folder)
            if before is None or before.domain != name:
                return f"trust domain {name} was not claimed"
        write_trust_state(None, folder)
        return f"trust domain {name} is released" if name else "no trust domain may merge now"


def required_trust(file: Path = TRUST_FILE) -> Trust:
    """Return the trust file's content. Raises KsmrunError, also if there is none."""
    trust = read_trust(file)
    if trust is None:
        raise KsmrunError(
            f"there is no {file}, so there are no trust domains",
            f"write one: sudo mkdir -p {file.parent}; sudo ksmrun trust init | sudo tee {file}",
        )
    return trust
