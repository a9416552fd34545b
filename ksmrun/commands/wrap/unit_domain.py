"""Trust domain of a service that is wrapped."""

from __future__ import annotations

from ksmrun.launch.domain import require_domain
from ksmrun.model.trust import TRUST_FOLDER
from ksmrun.model.wrap import UnitFacts
from ksmrun.support.paste import own_program
from ksmrun.wrap.dropin import DomainClaim, hides_trust


def domain_claim(domain: str | None, *, user: bool, require: bool) -> DomainClaim | None:
    """Return the claim that its start makes; None without a domain.

    user: of a user's manager, which cannot claim. Raises KsmrunError for what the trust file of
    this host does not have.
    """
    if domain is None:
        return None
    require_domain(domain)
    return DomainClaim(domain, None if user else own_program(), require)


def domain_notes(unit: UnitFacts, domain: str | None, *, user: bool) -> list[str]:
    """Return what has to be done before each start, where the service's own start cannot claim."""
    if domain is None or not (user or hides_trust(unit)):
        return []
    why = "a user's service cannot" if user else f"{TRUST_FOLDER} is hidden from it, so it does not"
    return [f"{unit.name}: {why} claim; to do before it starts: sudo ksmrun trust claim {domain}"]
