"""The trust file is foreign input: who could have written it, and what is in it."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.facts import trust_file
from ksmrun.facts.trust_file import FILE_BYTES_MAX, parse_trust, read_trust
from ksmrun.model.errors import KsmrunError
from ksmrun.model.trust import ContainerRule, Domain, Rules, Trust

WHOLE = """
[domain.web]
units = ["web-*.service", "web.slice"]
users = ["root", 4242]
groups = ["root"]
nodes = "0-1"
containers = [{runtime = "docker", image = "nginx*", label = "team=a", namespace = "shop"}]

[domain.db-2]
executables = ["/usr/lib/postgresql/*/bin/postgres"]

[exempt]
units = ["libvirtd.service"]
"""
READ = Trust(
    (
        Domain(
            "web",
            Rules(
                ("web-*.service", "web.slice"),
                (0, 4242),
                (0,),
                (ContainerRule("docker", "nginx*", "team=a", "shop"),),
            ),
            "0-1",
        ),
        Domain("db-2", Rules(executables=("/usr/lib/postgresql/*/bin/postgres",))),
    ),
    Rules(units=("libvirtd.service",)),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "trust.toml"
    found.write_text(WHOLE)
    found.chmod(0o644)
    return found


def test_a_whole_file_is_read(file: Path) -> None:
    assert read_trust(file) == READ
    assert READ.names == ("web", "db-2")


def test_without_a_file_there_are_no_domains(tmp_path: Path) -> None:
    assert read_trust(tmp_path / "missing/trust.toml") is None
    assert parse_trust("") == Trust(())


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_can_write_is_refused(
    file: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only for the host's own file and folder is it advised to change their mode."""
    file.chmod(mode)
    with pytest.raises(KsmrunError, match=f"can be written by others .mode {mode:o}") as error:
        read_trust(file)
    assert "chmod" not in error.value.todo and "give a copy in a folder" in error.value.todo
    monkeypatch.setattr(trust_file, "TRUST_FILE", file)
    with pytest.raises(KsmrunError) as error:
        read_trust(file)
    assert f"chmod go-w {file}" in error.value.todo


def test_a_file_in_a_folder_that_others_can_write_is_refused(file: Path) -> None:
    file.parent.chmod(0o777)
    with pytest.raises(KsmrunError, match="can be written by others"):
        read_trust(file)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_another_user_is_refused(file: Path) -> None:
    os.chown(file, 4242, 4242)
    with pytest.raises(KsmrunError, match="belongs to UID 4242"):
        read_trust(file)


def test_only_a_regular_file_is_read(file: Path) -> None:
    link = file.with_name("link")
    link.symlink_to(file)
    fifo = file.with_name("fifo")
    os.mkfifo(fifo)
    for each in (link, fifo, file.parent, Path("/dev/zero")):
        with pytest.raises(KsmrunError, match="cannot read"):
            read_trust(each)


def test_a_large_file_is_refused(file: Path) -> None:
    file.write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    with pytest.raises(KsmrunError, match="larger than 1 MiB"):
        read_trust(file)
    file.write_bytes(b"\xff")
    with pytest.raises(KsmrunError, match="not valid UTF-8"):
        read_trust(file)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("x = 1", "no key 'x'"),
        ("domain = 3", "domain is not an object"),
        ("[domain]\na = 3", "domain.a is not an object"),
        ("exempt = 3", "exempt is not a table"),
        ("[domain.Web]\nusers = [1]", "'Web' is not the name"),
        ("[domain.-a]\nusers = [1]", "not the name"),
        ("[domain.'a b']\nusers = [1]", "not the name"),
        (f"[domain.{'a' * 64}]\nusers = [1]", "not the name"),
        ("[domain.a]", "covers nothing"),
        ("[domain.a]\nunits = []", "covers nothing"),
        ("[domain.a]\nuser = [1]", "no key 'user'"),
        ("[exempt]\nnodes = '1'", "no key 'nodes'"),
        ("[domain.a]\nusers = 1", "users is not a list"),
        ("[domain.a]\nusers = [true]", "users\\[0\\] is not"),
        ("[domain.a]\nusers = [1.5]", "users\\[0\\] is not"),
        ("[domain.a]\nusers = [-1]", "-1 is not an ID"),
        ("[domain.a]\nusers = [4294967295]", "is not an ID"),
        ("[domain.a]\nusers = ['nobody-of-this-name']", "does not exist on this host"),
        ("[domain.a]\ngroups = ['nobody-of-this-name']", "does not exist on this host"),
        ("[domain.a]\nunits = ['']", "is not a name"),
        ('[domain.a]\nunits = ["a\\u001b"]', "is not a name"),
        (f"[domain.a]\nunits = ['{'a' * 1025}']", "more than 1024 characters"),
        (f"[domain.a]\nusers = [{','.join(map(str, range(1001)))}]", "more than 1000 entries"),
        ("[domain.a]\nexecutables = ['nginx']", "is not an absolute path"),
        ("[domain.a]\ncontainers = ['x']", "containers\\[0\\] is not an object"),
        ("[domain.a]\ncontainers = [{}]", "an entry is empty"),
        ("[domain.a]\ncontainers = [{img = 'x'}]", "no key 'img'"),
        ("[domain.a]\ncontainers = [{image = 1}]", "1 is not a name"),
        ("[domain.a]\nusers = [1]\nnodes = 'x'", "nodes is not a list of NUMA nodes"),
        ("[domain.a]\nusers = [1]\nnodes = 1", "nodes is not a list of NUMA nodes"),
        ("[domain.a]\nusers = [1]\nnodes = '3-1'", "nodes is not a list of NUMA nodes"),
        ("[domain.a]\ncontainers = [{label = 'team'}]", "label needs a runtime"),
        (
            "[domain.a]\ncontainers = [{label = 'team', runtime = 'containerd'}]",
            "label needs a runtime",
        ),
        ("[domain.a]\nusers = [1]\n[domain.a]\nusers = [2]", "not valid TOML"),
        ("[domain.a]\nusers = [1]\n[domain.b]\nusers = ['1']", "of a and of b have the same entry"),
        ("[domain.a]\nusers = ['root']\n[domain.b]\nusers = [0]", "have the same entry, '0'"),
        ("[domain.a]\nunits = ['x']\n[exempt]\nunits = ['x']", "of a and of \\[exempt\\]"),
        ("a = " + "[" * 5000, "not valid TOML"),
        ("\n".join(f"[domain.d{i}]\nusers = [{i}]" for i in range(101)), "more than 100 domains"),
    ],
)
def test_what_is_wrong_is_refused_and_named(text: str, what: str) -> None:
    with pytest.raises(KsmrunError, match=what) as error:
        parse_trust(text)
    assert error.value.todo


def test_the_message_names_the_file(file: Path) -> None:
    file.write_text("x = 1")
    with pytest.raises(KsmrunError, match=str(file)):
        read_trust(file)


def test_names_are_the_hosts() -> None:
    user, group = pwd.getpwuid(0).pw_name, grp.getgrgid(0).gr_name
    (domain,) = parse_trust(f"[domain.a]\nusers = ['{user}']\ngroups = ['{group}']").domains
    assert domain.rules == Rules(uids=(0,), gids=(0,))


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_trust(text)
    except KsmrunError as error:
        assert error.what
        assert error.todo


values = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(("units", "users", "groups", "containers", "executables", "nodes")), values)
def test_any_value_is_read_or_refused(key: str, value: object) -> None:
    def toml(found: object) -> str:
        if isinstance(found, bool):
            return str(found).lower()
        if isinstance(found, list):
            return f"[{', '.join(map(toml, found))}]"
        if isinstance(found, str):
            return (
                '"'
                + "".join(f"\\U{ord(c):08x}" for c in found if not 0xD800 <= ord(c) < 0xE000)
                + '"'
            )
        return str(found)

    text = f"[domain.a]\n{key} = {toml(value)}"
    try:
        parse_trust(text)
    except KsmrunError as error:
        assert error.todo
