"""Which domain a process is in, and which domain may merge: pure decisions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.model.trust import (
    ContainerRule,
    ContainerTraits,
    Domain,
    Member,
    Merger,
    Rules,
    Traits,
    Trust,
)
from ksmrun.plan.trust import (
    domains_of,
    holder,
    is_in,
    members,
    refusal,
    why_not_member,
    wrong_with,
)

USERS = (1001, 1002, 1003)
TRUST = Trust(
    (
        Domain("web", Rules(units=("web-*.service", "web.slice"), uids=(1001,))),
        Domain("db", Rules(uids=(1002,), executables=("/usr/lib/postgresql/*/bin/postgres",))),
        Domain("shop", Rules(containers=(ContainerRule(runtime="docker", namespace="shop"),))),
        Domain("wide", Rules(gids=(500,), units=("web-special.service",))),
    ),
    Rules(units=("libvirtd.service",)),
)


def of_user(uid: int, **more: Any) -> Traits:
    return replace(Traits(uids=(uid,) * 3, gids=(uid,) * 3), **more)


def merger(pid: int, traits: Traits, start_ticks: int | None = None) -> Merger:
    return Merger(pid, start_ticks or pid, f"p{pid}", traits, "prctl")


users = st.sampled_from(USERS)
units = st.lists(
    st.sampled_from(("system.slice", "web.slice", "web-a.service", "other.service")), max_size=3
).map(tuple)
traits = st.builds(
    of_user,
    users,
    units=units,
    executable=st.sampled_from((None, "/usr/lib/postgresql/15/bin/postgres", "/bin/x")),
    gids=st.sampled_from(((), (500,), (1, 500, 7))),
)
mergers = st.lists(
    st.builds(merger, st.integers(1, 99), traits, st.integers(1, 9)),
    unique_by=lambda each: each.pid,
)


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (of_user(1001), ("web",)),
        (of_user(9, units=("system.slice", "web-1.service")), ("web",)),
        (of_user(9, units=("web.slice", "app.service")), ("web",)),
        (of_user(9, units=("system.slice", "xweb-1.service")), ()),
        (of_user(9, executable="/usr/lib/postgresql/15/bin/postgres"), ("db",)),
        (of_user(9, gids=(9, 9, 9, 500)), ("wide",)),
        (of_user(9, units=("web-special.service",)), ("web", "wide")),
        (of_user(1002, units=("web.slice",)), ("web", "db")),
        (of_user(9), ()),
        (Traits(), ()),
        # A setuid program: its user is web's, whoever started it is not.
        (Traits(uids=(9, 1001, 1001)), ()),
    ],
)
def test_a_process_is_in_each_domain_that_one_of_its_rules_covers(
    found: Traits, names: tuple[str, ...]
) -> None:
    assert domains_of(TRUST, found) == names


@pytest.mark.parametrize(
    ("rule", "is_one"),
    [
        (ContainerRule(runtime="docker"), True),
        (ContainerRule(runtime="podman"), False),
        (ContainerRule(image="docker.io/library/nginx*"), True),
        (ContainerRule(image="nginx*"), False),
        (ContainerRule(label="team"), True),
        (ContainerRule(label="team=a"), True),
        (ContainerRule(label="team=b"), False),
        (ContainerRule(label="tea"), False),
        (ContainerRule(namespace="shop"), True),
        (ContainerRule(namespace="sho*"), False),
        (ContainerRule(runtime="docker", label="team=a", namespace="shop"), True),
        (ContainerRule(runtime="docker", label="team=b", namespace="shop"), False),
    ],
)
def test_a_container_has_to_fulfil_all_of_an_entry(rule: ContainerRule, is_one: bool) -> None:
    found = ContainerTraits("docker", "a" * 64, "docker.io/library/nginx:1", ("team=a",), "shop")
    assert is_in(Rules(containers=(rule,)), Traits(container=found)) == is_one
    assert not is_in(Rules(containers=(rule,)), Traits())


def test_a_container_whose_engine_is_silent_is_in_no_domain_that_needs_it() -> None:
    silent = Traits(uids=(0, 0, 0), container=ContainerTraits("docker", "a" * 64, is_known=False))
    for rule in (ContainerRule(image="*"), ContainerRule(label="x"), ContainerRule(namespace="x")):
        assert not is_in(Rules(containers=(rule,)), silent)
    (found,) = members(TRUST, [merger(1, silent)])
    assert not silent.is_known
    assert "engine could not be asked" in (wrong_with(found, None) or "")


@given(mergers, st.sampled_from((*TRUST.names, None)))
def test_only_one_domain_merges_by_right(found: list[Merger], claimed: str | None) -> None:
    placed = members(TRUST, found)
    held_by = holder(placed, claimed)
    right = [each for each in placed if wrong_with(each, held_by) is None]
    assert {each.domain for each in right if not each.is_exempt} <= {held_by}
    # A claimed domain that merges is never the one to go.
    if claimed in {each.domain for each in placed if each.domain and not each.is_exempt}:
        assert held_by == claimed
    elif held_by is not None:
        ticks = [each.merger.start_ticks for each in placed if each.domain and not each.is_exempt]
        mine = [each.merger.start_ticks for each in placed if each.domain == held_by]
        assert min(mine) == min(ticks)


@given(mergers, st.sampled_from(TRUST.names))
def test_a_claim_is_refused_exactly_if_somebody_else_merges(found: list[Merger], name: str) -> None:
    placed = members(TRUST, found)
    others = [each for each in placed if not each.is_exempt and each.domains != (name,)]
    refused = refusal(TRUST, name, placed)
    assert (refused is not None) == bool(others)
    if refused is not None:
        first = min(others, key=lambda each: each.merger.start_ticks).merger
        assert f"PID {first.pid} (p{first.pid})" in refused[0]
        assert f"sudo ksmrun detach {first.pid}" in refused[1]


@given(mergers)
def test_two_domains_can_never_both_claim_while_one_merges(found: list[Merger]) -> None:
    placed = members(TRUST, found)
    may = [name for name in TRUST.names if refusal(TRUST, name, placed) is None]
    somebody = any(not each.is_exempt for each in placed)
    assert len(may) <= 1 if somebody else may == list(TRUST.names)


def test_a_process_that_cannot_be_examined_refuses_each_claim() -> None:
    refused = refusal(TRUST, "web", (), (7, 8))
    assert refused is not None
    assert "PID 7, 8 cannot be examined" in refused[0]


def test_an_unknown_domain_is_refused_with_those_that_there_are() -> None:
    refused = refusal(TRUST, "wbe", ())
    assert refused == why_not_member(TRUST, "wbe", of_user(1001))
    assert refused is not None
    assert "web, db, shop, wide" in refused[1]


def test_an_exempt_process_stands_in_nobodys_way() -> None:
    exempt = of_user(1002, units=("libvirtd.service",))
    (found,) = members(TRUST, [merger(1, exempt)])
    assert found.is_exempt
    assert refusal(TRUST, "web", (found,)) is None
    assert holder((found,), None) is None
    assert wrong_with(found, "web") is None


@given(mergers)
def test_a_renamed_domain_keeps_its_processes(found: list[Merger]) -> None:
    """The state still names the old one, which nothing is in: the new one may claim."""
    renamed = Trust(
        tuple(replace(each, name="www") if each.name == "web" else each for each in TRUST.domains),
        TRUST.exempt,
    )
    before, after = members(TRUST, found), members(renamed, found)
    names = {"web": "www"}
    assert [tuple(names.get(n, n) for n in each.domains) for each in before] == [
        each.domains for each in after
    ]
    assert (refusal(TRUST, "web", before) is None) == (refusal(renamed, "www", after) is None)
    assert refusal(renamed, "web", after) is not None


def test_a_program_that_the_file_puts_elsewhere_is_not_started_as_a_member() -> None:
    assert why_not_member(TRUST, "web", of_user(1001)) is None
    why = why_not_member(TRUST, "web", of_user(1002))
    assert why is not None
    assert "not put this program in web, but in db" in why[0]
    why = why_not_member(TRUST, "web", of_user(1002, units=("web.slice",)))
    assert why is not None
    assert "in web and db" in why[0]


def test_what_is_said_of_each() -> None:
    for traits_, held_by, text in (
        (of_user(9), "web", "is in no trust domain"),
        (of_user(1002), "web", "is in trust domain db, while web merges"),
        (of_user(1002, units=("web.slice",)), "web", "is in 2 trust domains, web and db"),
    ):
        (found,) = members(TRUST, [merger(1, traits_)])
        assert wrong_with(found, held_by) == text
    assert wrong_with(Member(merger(1, of_user(1001)), ("web",)), "web") is None
