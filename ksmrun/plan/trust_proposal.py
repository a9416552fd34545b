"""Propose a trust file from what merges. Pure: the text, which its owner reads and changes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence

from ksmrun.model.frozen import dataclass
from ksmrun.model.trust import DOMAIN_NAME, ContainerRule, Merger, Rules
from ksmrun.plan.trust import is_in, who
from ksmrun.support.words import printable

HEADER = """\
# Who may merge with whom; see `ksmrun help trust`. Proposed from what merges now: read it, and put
# together in one domain only what may know each other's memory.
"""
EMPTY = """\
# Nothing merges now, so this is only the form.
#
# [domain.web]
# units = ["web-*.service", "web.slice"]
# users = ["www-data"]
#
# [domain.shop]
# containers = [{ runtime = "docker", image = "docker.io/library/redis:*" }]
"""
EXEMPT = """
# [exempt]
# units = ["libvirtd.service"]
"""
# Of a unit that somebody's session, or all of the host, is in.
BROAD = re.compile(r"(user@|session-).*|init\.scope")
INSTANCE = re.compile(r"(?P<stem>[^@]+@).*(?P<type>\.[a-z]+)")
RULE_KEYS = ("runtime", "image", "label", "namespace")
Names = Callable[[int], str]


@dataclass(frozen=True)
class _Group:
    """Proposed domain. entries: by key of the file, in TOML."""

    name: str
    rules: Rules
    entries: tuple[tuple[str, str], ...]


def proposal(mergers: Sequence[Merger], user_name: Names) -> str:
    """Return the file. user_name: of a user ID."""
    groups: list[_Group] = []
    untold = []
    for each in mergers:
        group = _group(each, user_name)
        if group is None:
            untold.append(each)
        elif group.rules not in [known.rules for known in groups]:
            groups.append(group)
    groups = _joined(groups, mergers)
    text = [HEADER, *([] if mergers else [EMPTY])]
    names: set[str] = set()
    for group in groups:
        names.add(name := _free(group.name, names))
        keys = dict.fromkeys(key for key, _ in group.entries)
        lines = [
            f"{key} = [{', '.join(entry for of, entry in group.entries if of == key)}]"
            for key in keys
        ]
        text.append("\n".join(["", f"[domain.{name}]", *lines, ""]))
    text += [
        f"\n# In no domain, as nothing tells it apart: {printable(who(each))}\n" for each in untold
    ]
    return "".join(text) + EXEMPT


def _group(merger: Merger, user_name: Names) -> _Group | None:
    """Return the domain that tells the process apart from others, by what lasts longest."""
    traits = merger.traits
    container = traits.container
    unit = traits.units[-1] if traits.units else ""
    # Less than its engine would have said may cover all of that engine's containers.
    if container is not None and not container.is_known:
        return None
    if container is not None and container.namespace:
        return _of_container(container.namespace, ContainerRule(namespace=container.namespace))
    if container is not None and container.image:
        name = container.image.rpartition("/")[2].partition(":")[0]
        rule = ContainerRule(container.runtime, _literal(container.image))
        return _of_container(name, rule)
    if container is not None and container.runtime:
        return _of_container(container.runtime, ContainerRule(container.runtime))
    if unit.isprintable() and not unit.endswith(".slice") and unit and not BROAD.fullmatch(unit):
        return _of_unit(unit)
    if traits.uids and traits.uids[0] and len(set(traits.uids)) == 1:
        user = user_name(traits.uids[0])
        entry = user if user.isdigit() else _toml(user)
        return _Group(user, Rules(uids=traits.uids[:1]), (("users", entry),))
    program = traits.executable
    if program is not None and program.isprintable():
        glob = _literal(program)
        name = program.rpartition("/")[2]
        return _Group(name, Rules(executables=(glob,)), (("executables", _toml(glob)),))
    return None


def _of_unit(unit: str) -> _Group:
    found = INSTANCE.fullmatch(unit)
    glob = f"{_literal(found['stem'])}*{found['type']}" if found else _literal(unit)
    name = unit.rpartition(".")[0].partition("@")[0]
    return _Group(name, Rules(units=(glob,)), (("units", _toml(glob)),))


def _of_container(name: str, rule: ContainerRule) -> _Group | None:
    pairs = [(key, getattr(rule, key)) for key in RULE_KEYS if getattr(rule, key)]
    if not all(text.isprintable() and text.strip() for _, text in pairs):
        return None
    inner = ", ".join(f"{key} = {_toml(text)}" for key, text in pairs)
    return _Group(name, Rules(containers=(rule,)), (("containers", f"{{ {inner} }}"),))


def _joined(groups: Sequence[_Group], mergers: Iterable[Merger]) -> list[_Group]:
    """Put groups into one that have a process in common, as nothing may be in two domains."""
    found = list(groups)
    for each in mergers:
        covering = [group for group in found if is_in(group.rules, each.traits)]
        for other in covering[1:]:
            found.remove(other)
            at = found.index(covering[0])
            covering[0] = found[at] = _Group(
                covering[0].name,
                _sum(covering[0].rules, other.rules),
                covering[0].entries + other.entries,
            )
    return found


def _sum(one: Rules, other: Rules) -> Rules:
    return Rules(*(a + b for a, b in zip(vars(one).values(), vars(other).values(), strict=True)))


def _free(wanted: str, taken: set[str]) -> str:
    """Return a name of the allowed form that no other domain has."""
    stem = re.sub(r"[^a-z0-9]+", "-", wanted.lower()).strip("-")[:50].strip("-") or "domain"
    names = (stem, *(f"{stem}-{number}" for number in range(2, len(taken) + 3)))
    name = next(each for each in names if each not in taken)
    assert DOMAIN_NAME.fullmatch(name)
    return name


def _literal(text: str) -> str:
    """Return a glob for this very text."""
    return re.sub(r"([*?[])", r"[\1]", text)


def _toml(text: str) -> str:
    """Return a basic string of TOML: JSON's escapes are among those that it has."""
    return json.dumps(text, ensure_ascii=False)
