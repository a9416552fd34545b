"""Trust domains: who may merge with whom, as the host's file says, and what a process is to it."""

from __future__ import annotations

import re
from dataclasses import field
from pathlib import Path

from ksmrun.model.frozen import dataclass

TRUST_FILE = Path("/etc/ksmrun/trust.toml")
# On tmpfs, so that nothing of it outlives a boot.
TRUST_FOLDER = Path("/run/ksmrun/trust")
# Part of lines, labels and command lines.
DOMAIN_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
EXEMPT = "exempt"


@dataclass(frozen=True)
class ContainerRule:
    """Containers that fulfil all that is given. image: a glob; label: KEY or KEY=VALUE.

    namespace: of Kubernetes.
    """

    runtime: str | None = None
    image: str | None = None
    label: str | None = None
    namespace: str | None = None

    @property
    def asks_engine(self) -> bool:
        """Return whether more than the cgroup is needed to decide."""
        return not (self.image is None and self.label is None and self.namespace is None)


@dataclass(frozen=True)
class Rules:
    """Processes that fulfil one of these at least. units and executables: globs."""

    units: tuple[str, ...] = ()
    uids: tuple[int, ...] = ()
    gids: tuple[int, ...] = ()
    containers: tuple[ContainerRule, ...] = ()
    executables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Domain:
    """One domain. nodes: NUMA nodes of its memory, as in cpuset(7); None if none are given."""

    name: str
    rules: Rules
    nodes: str | None = None


@dataclass(frozen=True)
class Trust:
    """Content of the trust file. exempt: whom nothing is enforced against."""

    domains: tuple[Domain, ...]
    exempt: Rules = Rules()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the domains, as in the file."""
        return tuple(each.name for each in self.domains)

    @property
    def asks_engines(self) -> bool:
        """Return whether a rule needs what only a container's engine knows."""
        rules = (*(each.rules for each in self.domains), self.exempt)
        return any(rule.asks_engine for each in rules for rule in each.containers)


@dataclass(frozen=True)
class ContainerTraits:
    """Container of a process. is_known: whether its engine could be asked for the rest."""

    runtime: str | None
    id: str
    image: str | None = None
    labels: tuple[str, ...] = ()
    namespace: str | None = None
    is_known: bool = True


@dataclass(frozen=True)
class Traits:
    """What decides about a process. Only what the process cannot choose by itself counts.

    units: slices from the outermost on, and the unit below them. uids: real, effective, saved;
    gids: the same, and the supplementary ones. executable: None where another could have made up
    its path.
    """

    units: tuple[str, ...] = ()
    uids: tuple[int, ...] = ()
    gids: tuple[int, ...] = ()
    executable: str | None = None
    container: ContainerTraits | None = None

    @property
    def is_known(self) -> bool:
        """Return whether all could be read that decides."""
        return bool(self.uids) and (self.container is None or self.container.is_known)


@dataclass(frozen=True)
class Merger:
    """Merging process. enabled_by: mechanism, as in facts/process.py; place: unit or container."""

    pid: int
    start_ticks: int
    name: str
    traits: Traits
    enabled_by: str
    merged_pages: int = 0
    place: str | None = None


@dataclass(frozen=True)
class Member:
    """Merging process, and the domains that it is in: one, if the file is right."""

    merger: Merger
    domains: tuple[str, ...]
    is_exempt: bool = False

    @property
    def domain(self) -> str | None:
        """Its domain; None if it is in none, or in several."""
        return self.domains[0] if len(self.domains) == 1 else None


@dataclass(frozen=True)
class Mergers:
    """All merging processes. unread: PIDs of those that may merge, but could not be examined."""

    found: tuple[Merger, ...] = ()
    unread: tuple[int, ...] = ()


@dataclass(frozen=True)
class TrustState:
    """Content of the state file. domain: the one that may merge now; None for none."""

    domain: str | None = None
    boot_id: str = field(default="", compare=False)
