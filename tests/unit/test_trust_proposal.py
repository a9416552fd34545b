"""The file that `ksmrun trust init` proposes: valid, and no process is in two of its domains."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ksmrun.facts.trust_file import parse_trust
from ksmrun.model.trust import ContainerTraits, Merger, Traits, Trust
from ksmrun.plan.trust import domains_of
from ksmrun.plan.trust_proposal import proposal

ID = "a" * 64
names = st.one_of(
    st.sampled_from(("web", 'a"b', "a\\x2db", "w[1]*?", "Ünit", "a\nb", "\x7f", "x" * 80, "-")),
    st.text(min_size=1, max_size=8),
)
units = st.one_of(
    st.just(()),
    st.builds(lambda name: ("system.slice", f"{name}.service"), names),
    st.builds(lambda name, of: ("system.slice", f"{name}@{of}.service"), names, names),
    st.just(("user.slice", "user-1000.slice", "user@1000.service")),
    st.just(("user.slice", "user-1000.slice", "session-3.scope")),
)
containers = st.one_of(
    st.none(),
    st.builds(
        ContainerTraits,
        st.one_of(st.none(), st.sampled_from(("docker", "podman", "containerd"))),
        st.just(ID),
        st.one_of(st.none(), names),
        st.just(()),
        st.one_of(st.none(), names),
        st.booleans(),
    ),
)
traits = st.builds(
    Traits,
    units,
    st.sampled_from(((0, 0, 0), (1000, 1000, 1000), (1001, 1001, 1001), (1000, 0, 0))),
    st.just(()),
    st.one_of(st.none(), names.map(lambda name: f"/usr/bin/{name}")),
    containers,
)
# What a process calls itself must not become a line of the file.
comms = st.one_of(names, st.just("\nunits=['*']#"))
mergers = st.lists(st.tuples(comms, traits), max_size=6).map(
    lambda found: [Merger(n, n, *each, "prctl") for n, each in enumerate(found, 1)]
)


@given(mergers)
def test_each_process_is_in_one_domain_or_nothing_tells_it_apart(found: list[Merger]) -> None:
    text = proposal(found, str)
    trust = parse_trust(text)
    for each in found:
        is_untold = f"# In no domain, as nothing tells it apart: PID {each.pid} " in text
        there = domains_of(trust, each.traits)
        assert len(there) == 1 or (is_untold and not there), text


def test_what_is_proposed() -> None:
    found = [
        Merger(1, 1, "a", Traits(("system.slice", "web@1.service"), (0, 0, 0)), "prctl"),
        Merger(2, 2, "a", Traits(("system.slice", "web@2.service"), (0, 0, 0)), "prctl"),
        Merger(3, 3, "b", Traits(("user.slice", "user@7.service"), (7, 7, 7)), "prctl"),
        Merger(4, 4, "c", Traits((), (0, 0, 0), executable="/usr/bin/qemu"), "madvise"),
        Merger(5, 5, "d", Traits(container=ContainerTraits("docker", ID, "r/redis:7")), "prctl"),
        Merger(6, 6, "e", Traits(), "prctl"),
    ]
    text = proposal(found, lambda uid: f"user{uid}")
    for line in (
        '[domain.web]\nunits = ["web@*.service"]\n',
        '[domain.user7]\nusers = ["user7"]\n',
        '[domain.qemu]\nexecutables = ["/usr/bin/qemu"]\n',
        '[domain.redis]\ncontainers = [{ runtime = "docker", image = "r/redis:7" }]\n',
        "# In no domain, as nothing tells it apart: PID 6 (e)\n",
    ):
        assert line in text


def test_domains_with_a_process_in_common_become_one() -> None:
    both = Traits(("system.slice", "web.service"), (7, 7, 7))
    alone = Traits((), (7, 7, 7))
    found = [Merger(1, 1, "a", both, "prctl"), Merger(2, 2, "b", alone, "prctl")]
    text = proposal(found, str)
    assert text.count("[domain.") == 1
    assert 'units = ["web.service"]\nusers = [7]' in text


def test_nothing_merges() -> None:
    assert parse_trust(proposal([], str)) == Trust(())


def test_containers_of_a_silent_engine_get_no_rule() -> None:
    """One by the engine alone would make all of its containers trust each other."""
    silent = Traits(container=ContainerTraits("docker", ID, is_known=False))
    text = proposal([Merger(1, 1, "a", silent, "prctl")], str)
    assert parse_trust(text).domains == () and "# In no domain" in text
