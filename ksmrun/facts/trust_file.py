"""Read the trust file, which decides who may merge with whom: so nobody but root may write it."""

from __future__ import annotations

import difflib
import grp
import os
import pwd
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ksmrun.facts.text import parse_int
from ksmrun.model.errors import KsmrunError
from ksmrun.model.trust import (
    DOMAIN_NAME,
    EXEMPT,
    TRUST_FILE,
    ContainerRule,
    Domain,
    Rules,
    Trust,
)
from ksmrun.support.foreign import drain, open_regular
from ksmrun.support.nodelist import parse_nodes
from ksmrun.support.shape import misfit
from ksmrun.support.state import distrust
from ksmrun.support.words import quoted

FILE_BYTES_MAX = 1 << 20
DOMAINS_MAX, ENTRIES_MAX, ENTRY_CHARACTERS_MAX = 100, 1000, 1024
# setreuid(2) takes the last one for "unchanged".
ID_MAX = (1 << 32) - 2
LISTS = ("units", "users", "groups", "containers", "executables")
KEYS = (*LISTS, "nodes")
CONTAINER_KEYS = ("runtime", "image", "label", "namespace")
# Runtimes whose containers have labels that can be read (facts/trust_containers.py).
LABELLED = ("docker", "podman", "cri-o")
TODO = "see `ksmrun help trust`"


def read_trust(file: Path = TRUST_FILE) -> Trust | None:
    """Return the host's domains; None if there is no such file. Raises KsmrunError.

    The file and its folder have to belong to root, or to this user, and be writable by nobody else.
    """
    try:
        descriptor = open_regular(file, follow=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(file, error) from error
    try:
        wrong = distrust(descriptor)
        data = drain(descriptor, FILE_BYTES_MAX + 1)
        place = os.open(file.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(file, error) from error
    try:
        above = distrust(place)
    finally:
        os.close(place)
    for each, why in ((file, wrong), (file.parent, above)):
        if why:
            raise KsmrunError(
                f"{each} {why}, so trust domains are not taken from it", _distrusted(file, each)
            )
    if len(data) > FILE_BYTES_MAX:
        raise KsmrunError(f"{file} is larger than {FILE_BYTES_MAX >> 20} MiB", "make it smaller")
    try:
        return parse_trust(data.decode())
    except KsmrunError as error:
        raise KsmrunError(f"{file}: {error.what}", error.todo) from error
    except UnicodeDecodeError as error:
        raise KsmrunError(f"{file} is not valid UTF-8: {error}", "write it in UTF-8") from error


def _distrusted(file: Path, which: Path) -> str:
    if file == TRUST_FILE:
        return f"run: sudo chown root:root {which} && sudo chmod go-w {which}"
    return "give a copy in a folder that only root and you can write to"


def _unreadable(file: Path, error: OSError) -> KsmrunError:
    return KsmrunError(f"cannot read {file}: {error.strerror}", f"check it: ls -ld {file}")


def parse_trust(text: str) -> Trust:
    """Return the domains that a text in TOML defines. Raises KsmrunError."""
    try:
        found = tomllib.loads(text)
    # ValueError: also numbers with thousands of digits.
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise KsmrunError(f"it is not valid TOML: {why}", "fix that line of the file") from error
    _refuse_unknown(found, ("domain", EXEMPT), "the file")
    tables = found.get("domain", {})
    if wrong := misfit(tables, {str: {}}, "domain"):
        raise KsmrunError(f"{wrong}", f"write [domain.NAME]; {TODO}")
    if len(tables) > DOMAINS_MAX:
        raise KsmrunError(f"it has more than {DOMAINS_MAX} domains", "combine some of them")
    domains = tuple(_domain(name, table) for name, table in tables.items())
    exempt = found.get(EXEMPT, {})
    if not isinstance(exempt, dict):
        raise KsmrunError(f"{EXEMPT} is not a table", f"write [{EXEMPT}] above its keys")
    _refuse_unknown(exempt, LISTS, f"[{EXEMPT}]")
    trust = Trust(domains, _rules(exempt, f"[{EXEMPT}]"))
    _refuse_twice(trust)
    return trust


def _domain(name: str, table: Mapping[str, Any]) -> Domain:
    if DOMAIN_NAME.fullmatch(name) is None:
        raise KsmrunError(
            f"{quoted(name)} is not the name of a domain",
            "use up to 63 lower-case letters, digits and hyphens, the first being no hyphen",
        )
    where = f"[domain.{name}]"
    _refuse_unknown(table, KEYS, where)
    nodes = table.get("nodes")
    if nodes is not None and (not isinstance(nodes, str) or parse_nodes(nodes) is None):
        raise KsmrunError(
            f"{where}: nodes is not a list of NUMA nodes", 'write it as nodes = "0-1" or "0,2"'
        )
    rules = _rules(table, where)
    if rules == Rules():
        raise KsmrunError(f"{where} covers nothing", f"give it one of {', '.join(LISTS)}")
    return Domain(name, rules, nodes)


def _rules(table: Mapping[str, Any], where: str) -> Rules:
    for key in LISTS:
        shape: object = [{}] if key == "containers" else [(str, int)]
        if wrong := misfit(table.get(key, []), shape, key):
            raise KsmrunError(f"{where}: {wrong}", f"write {key} = [...]; {TODO}")
        if len(table.get(key, [])) > ENTRIES_MAX:
            raise KsmrunError(f"{where}: {key} has more than {ENTRIES_MAX} entries", "use globs")
    units = tuple(_text(each, f"{where}: units") for each in table.get("units", []))
    programs = tuple(_text(each, f"{where}: executables") for each in table.get("executables", []))
    for each in programs:
        if not each.startswith("/"):
            raise KsmrunError(
                f"{where}: the executable {quoted(each)} is not an absolute path",
                "write the whole path, or a glob such as /opt/web/*",
            )
    return Rules(
        units,
        tuple(_id(each, f"{where}: users", _uid) for each in table.get("users", [])),
        tuple(_id(each, f"{where}: groups", _gid) for each in table.get("groups", [])),
        tuple(_container(each, f"{where}: containers") for each in table.get("containers", [])),
        programs,
    )


def _container(table: Mapping[str, Any], where: str) -> ContainerRule:
    _refuse_unknown(table, CONTAINER_KEYS, where)
    if "label" in table and table.get("runtime") not in LABELLED:
        raise KsmrunError(
            f"{where}: label needs a runtime, as what containerd keeps of a container has none",
            f"add runtime to it: {', '.join(LABELLED)}",
        )
    if not table:
        raise KsmrunError(f"{where}: an entry is empty", f"give one of {', '.join(CONTAINER_KEYS)}")
    return ContainerRule(**{key: _text(each, f"{where}: {key}") for key, each in table.items()})


def _text(value: Any, where: str) -> str:
    # What cannot be printed is in no name that an operator means.
    if not isinstance(value, str) or not value.isprintable() or not value.strip():
        raise KsmrunError(f"{where}: {value!r:.60} is not a name", "write a text in quotes")
    if len(value) > ENTRY_CHARACTERS_MAX:
        raise KsmrunError(
            f"{where}: an entry has more than {ENTRY_CHARACTERS_MAX} characters", "shorten it"
        )
    return value


def _id(value: Any, where: str, number_of: Callable[[str], int]) -> int:
    number = value if isinstance(value, int) else parse_int(_text(value, where))
    if number is None:
        try:
            return number_of(value)
        except (KeyError, ValueError) as error:
            raise KsmrunError(
                f"{where}: {quoted(value)} does not exist on this host",
                "create it, correct the name, or write its number",
            ) from error
    if isinstance(value, bool) or not 0 <= number <= ID_MAX:
        raise KsmrunError(f"{where}: {value!r:.60} is not an ID", f"give 0 to {ID_MAX}")
    return number


def _uid(name: str) -> int:
    return pwd.getpwnam(name).pw_uid


def _gid(name: str) -> int:
    return grp.getgrnam(name).gr_gid


def _refuse_unknown(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            todo = f"did you mean {near[0]}? " if near else ""
            raise KsmrunError(
                f"{where} has no key {key!r:.60}", f"{todo}the keys are {', '.join(known)}"
            )


def _refuse_twice(trust: Trust) -> None:
    """Raise KsmrunError if the same entry is in two domains: nothing could be in one alone."""
    seen: dict[tuple[str, object], str] = {}
    for name, rules in _all_rules(trust):
        for key, entry in _entries(rules):
            before = seen.setdefault((key, entry), name)
            if before != name:
                raise KsmrunError(
                    f"{key} of {before} and of {name} have the same entry, {_shown(entry)}",
                    "keep it in one of them",
                )


def _all_rules(trust: Trust) -> Iterator[tuple[str, Rules]]:
    for domain in trust.domains:
        yield domain.name, domain.rules
    yield f"[{EXEMPT}]", trust.exempt


def _entries(rules: Rules) -> Iterator[tuple[str, object]]:
    names = {"units": "units", "uids": "users", "gids": "groups"}
    for field, entries in vars(rules).items():
        for entry in entries:
            yield names.get(field, field), entry


def _shown(entry: object) -> str:
    if isinstance(entry, ContainerRule):
        return ", ".join(f"{key} = {quoted(text)}" for key, text in vars(entry).items() if text)
    return quoted(str(entry))
