"""Trust domain of a service that is wrapped."""

from __future__ import annotations

from ksmrun.launch.domain import require_domain
from ksmrun.support.paste import own_program
from ksmrun.wrap.dropin import DomainClaim


def domain_claim(domain: str | None, *, user: bool, require: bool) -> DomainClaim | None:
    """Return the claim that its start makes; None without a domain.

    user: of a user's manager, which cannot claim. Raises KsmrunError for what the trust file of
    this host does not have.
    """
    if domain is None:
        return None
    require_domain(domain)
    return DomainClaim(domain, None if user else own_program(), require)
