"""Launches in a trust domain: never a mechanism that merges later, and no for whatever fails."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.launch import domain
from ksmrun.launch.prepare import prepare
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.model.launch import (
    GuardMode,
    Mechanism,
    MergeMode,
    Probe,
    Refusal,
    Request,
    TargetFacts,
)
from ksmrun.model.trust import Domain, Rules, Traits, Trust, TrustState
from ksmrun.plan.launch import plain_options

from .test_plan import FILTERED, GOOD, LOSES, NEVER_SCANS, NO_KSM, OLD

SPLITS = replace(GOOD, kernel="6.12.43", mmap_vmas=65, brk_vmas=64)
PROBES = (None, GOOD, SPLITS, OLD, NO_KSM, FILTERED, LOSES, NEVER_SCANS)
TARGETS = (
    TargetFacts("/bin/a", dynamic=True),
    TargetFacts("/bin/a", dynamic=False),
    TargetFacts("/bin/a", dynamic=True, setuid=True),
)
DENIAL = ("PID 7 (mail) of trust domain mail merges", "run: sudo ksmrun detach 7")


@given(
    st.sampled_from(PROBES),
    st.sampled_from(TARGETS),
    st.sampled_from(Mechanism),
    st.sampled_from(MergeMode),
    st.booleans(),
    st.booleans(),
    st.sampled_from((None, DENIAL)),
)
def test_only_a_flag_that_is_set_before_the_exec(
    probe: Probe | None,
    target: TargetFacts,
    mechanism: Mechanism,
    merge: MergeMode,
    require: bool,
    secrets: bool,
    refused: tuple[str, str] | None,
) -> None:
    request = Request(
        (b"a",),
        merge=merge,
        mechanism=mechanism,
        require=require,
        exclude_secrets=secrets,
        domain="web",
        guard=GuardMode.OFF,
    )
    prepared = prepare(request, b"exec", probe, target, b"/shim.so", refused=refused)
    plan = prepared.plan
    if isinstance(plan, Refusal):
        assert require and plan.todo
        return
    words = plan.argv
    if merge is MergeMode.OFF or prepared.denied is not None:
        assert b"--merge=off" in words and b"--domain=web" not in words
        assert not any(word.startswith((b"--shim", b"--preload", b"--inject")) for word in words)
        assert bool(plan.warnings) == (merge is not MergeMode.OFF)
        return
    assert refused is None
    assert b"--domain=web" in words and b"--inject" not in words
    assert {b"--merge=on", b"--merge=keep"} & set(words)
    assert (b"--merge=keep" in words) == (merge is MergeMode.KEEP)
    for word in words:
        if word.startswith(b"--shim="):
            assert b"keep" in word and b"mark" not in word


def test_the_loser_is_told() -> None:
    request = Request((b"a",), domain="web")
    plan = prepare(request, b"exec", GOOD, TARGETS[0], None, refused=DENIAL).plan
    assert not isinstance(plan, Refusal)
    (line,) = plan.warnings
    assert DENIAL[0] in line and DENIAL[1] in line and "starts anyway" in line
    strict = prepare(
        replace(request, require=True), b"exec", GOOD, TARGETS[0], None, refused=DENIAL
    )
    assert strict.plan == Refusal(f"memory will not merge: {DENIAL[0]}", DENIAL[1])


def test_a_launch_that_could_not_be_planned() -> None:
    """The launcher looks at the state; without merging there is nothing to look for."""
    options = plain_options(Request((b"a",), domain="web"))
    # Where nothing was planned the trust file was not asked, and the launcher does not know it.
    assert b"--domain=web" in options and b"--merge=off" in options
    off = Request((b"a",), domain="web", merge=MergeMode.OFF)
    assert b"--domain=web" not in plain_options(off)


def test_without_a_domain_nothing_changes() -> None:
    plan = prepare(Request((b"a",)), b"exec", GOOD, TARGETS[0], None).plan
    assert not isinstance(plan, Refusal)
    assert plan.argv == (b"exec", b"--merge=on", b"--", b"a")


@pytest.mark.parametrize("name", ["", "-a", "Web", "a_b", "a b", "a/b", "a\n", "a" * 64, "ä"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(UsageError):
        domain.check_domain(name)


WEB = Domain("web", Rules(executables=("/opt/web/*",), uids=(1000,)))
TRUST = Trust((WEB, Domain("mail", Rules(uids=(2000,)))))


class Host:
    """Stand-ins for what a launch asks of the host."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
        self.claimed: list[str] = []
        self.uid, self.state = uid, TrustState("web")
        traits = Traits(uids=(uid, uid, uid), gids=(uid,), executable="/usr/bin/python3")
        monkeypatch.setattr(os, "geteuid", lambda: self.uid)
        monkeypatch.setattr(domain, "required_trust", lambda: TRUST)
        monkeypatch.setattr(domain, "own_traits", lambda: traits)
        monkeypatch.setattr(domain, "claim", self.claimed.append)
        monkeypatch.setattr(domain, "read_trust_state", lambda: self.state)


def test_who_may_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file decides, for root too; only root claims."""
    program = TargetFacts("/bin/true")
    root = Host(monkeypatch, 0)
    found = domain.refused("web", program, claims=True)
    assert found is not None and "does not put this program in web" in found[0]
    assert root.claimed == []
    user = Host(monkeypatch, 1000)
    assert domain.refused("web", program, claims=True) is None
    assert domain.refused("mail", program, claims=True) is not None
    assert domain.refused("games", program, claims=True) is not None
    user.state = TrustState("mail")
    found = domain.refused("web", program, claims=True)
    assert found is not None and "mail may merge" in found[0]
    user.state = TrustState(None)
    assert domain.refused("web", program, claims=True) is not None
    assert user.claimed == []


def test_a_program_of_the_domain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    host = Host(monkeypatch, 0)
    own = Trust((Domain("web", Rules(executables=(f"{tmp_path}/*",))),))
    monkeypatch.setattr(domain, "required_trust", lambda: own)
    (tmp_path / "server").touch()
    (tmp_path / "elsewhere").symlink_to("/bin/true")
    assert domain.refused("web", TargetFacts(f"{tmp_path}/server"), claims=True) is None
    assert host.claimed == ["web"]
    # A link in its folder is another program.
    assert domain.refused("web", TargetFacts(f"{tmp_path}/elsewhere"), claims=True) is not None
    # It gets another user at its exec.
    monkeypatch.setattr(domain, "required_trust", lambda: TRUST)
    user = Host(monkeypatch, 1000)
    gains = TargetFacts("/bin/true", setuid=True)
    assert domain.refused("web", gains, claims=True) is not None
    assert user.claimed == []


@pytest.mark.parametrize(
    "error", [KsmrunError("damaged", "repair it"), OSError(24, "x", "/proc"), MemoryError()]
)
def test_whatever_fails_means_no(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail() -> Trust:
        raise error

    Host(monkeypatch, 1000)
    monkeypatch.setattr(domain, "required_trust", fail)
    found = domain.refused("web", TargetFacts("/bin/true"), claims=True)
    assert found is not None and all(found)
