"""What the monitor makes of trust domains: alerts, metrics, and whom it may detach."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.model.attach import Attached, Candidate, Deed
from ksmrun.model.errors import KsmrunError
from ksmrun.model.trust import (
    ContainerTraits,
    Domain,
    Member,
    Merger,
    Rules,
    Traits,
    Trust,
)
from ksmrun.model.watch import ALERT_KINDS, TrustView, WatchState
from ksmrun.plan.trust import holder, may_enforce, wrong_with
from ksmrun.watch import enforce
from ksmrun.watch import trust as trust_watch
from ksmrun.watch.conditions import conditions
from ksmrun.watch.config import Config
from ksmrun.watch.enforce import Enforcer
from ksmrun.watch.trust import TrustWatch

from .test_conditions import HOST, WHO

KNOWN = Traits(uids=(1, 1, 1))
SILENT = replace(KNOWN, container=ContainerTraits("docker", "a" * 64, is_known=False))
NAMES = ("web", "db")
found_members = st.lists(
    st.builds(
        lambda pid, ticks, traits, domains, is_exempt, pages: Member(
            Merger(pid, ticks, "x", traits, "prctl", pages, "x.service"), domains, is_exempt
        ),
        st.integers(1, 9),
        st.integers(1, 9),
        st.sampled_from((KNOWN, SILENT)),
        st.sampled_from(((), ("web",), ("db",), NAMES)),
        st.booleans(),
        st.integers(0, 9),
    ),
    unique_by=lambda each: each.merger.pid,
)


def view(found: list[Member], claimed: str | None = None) -> TrustView:
    return TrustView(NAMES, tuple(found), holder(found, claimed))


@given(found_members, st.sampled_from((*NAMES, None)))
def test_each_that_should_not_merge_is_told(found: list[Member], claimed: str | None) -> None:
    trust = view(found, claimed)
    told = [
        each
        for each in conditions([WatchState(HOST, (), trust=trust)], Config())
        if each.kind == "foreign-merger"
    ]
    assert "foreign-merger" in ALERT_KINDS
    wrong = [each for each in found if wrong_with(each, trust.held_by) is not None]
    assert [each.facts["pid"] for each in told] == [str(each.merger.pid) for each in wrong]
    for each, of in zip(told, wrong, strict=True):
        assert each.is_bad
        assert f"sudo ksmrun detach {of.merger.pid}" in each.todo
        assert each.facts["domain"] == ",".join(of.domains)
        assert each.facts["unit"] == "x.service"


def test_without_a_trust_file_nothing_is_told() -> None:
    told = conditions([WatchState(HOST, ())], Config())
    assert "foreign-merger" not in {each.kind for each in told}


@given(found_members, st.sampled_from((*NAMES, None)))
def test_whom_enforcing_spares(found: list[Member], claimed: str | None) -> None:
    held_by = holder(found, claimed)
    for each in found:
        if may_enforce(each, held_by):
            assert each.merger.pid != 1
            assert not each.is_exempt
            assert each.domains == () or each.domain not in (None, held_by)
            assert each.merger.traits.is_known


@given(found_members, st.sampled_from((*NAMES, None)))
def test_sums_by_domain_are_whole_and_bounded(found: list[Member], claimed: str | None) -> None:
    metrics = pytest.importorskip("ksmrun.watch.metrics")
    count, merged = metrics._of_trust(view(found, claimed), 4096)
    counts = {sample.labels["domain"]: sample.value for sample in count.samples}
    sizes = {sample.labels["domain"]: sample.value for sample in merged.samples}
    assert counts.keys() == sizes.keys() == {*NAMES, "(none)", "(several)", "(exempt)"}
    assert sum(counts.values()) == len(found)
    assert sum(sizes.values()) == sum(each.merger.merged_pages for each in found) * 4096


class Doings:
    """Stands for the host: what would be done to which process. merged_pages: of each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[tuple[Deed, int]] = []
        self.said: list[tuple[str, str]] = []
        self.places: dict[int, Member | None] = {}
        self.candidate = Candidate(WHO, "S", False, 0, True, 5, None, True)
        self.room = True
        monkeypatch.setattr(enforce, "look", self._look)
        monkeypatch.setattr(enforce, "check_fits", self._check)
        monkeypatch.setattr(enforce, "carry_out", self._carry_out)
        monkeypatch.setattr(enforce, "cached_probe", lambda: SimpleNamespace(prctl_supported=True))
        self.enforcer = Enforcer(self.places.get, lambda *line: self.said.append(line))

    def _look(self, pid: int) -> Candidate:
        return replace(self.candidate, identity=replace(WHO, pid=pid))

    def _check(self, pages: dict[int, int], _root: object) -> None:
        assert list(pages.values()) == [5]
        if not self.room:
            raise KsmrunError("it does not fit", "add --force")

    def _carry_out(self, them: list[Candidate], deed: Deed) -> list[Attached]:
        self.done += [(deed, each.identity.pid) for each in them]
        return [Attached(each, True) for each in them]


@pytest.fixture
def doings(monkeypatch: pytest.MonkeyPatch) -> Doings:
    return Doings(monkeypatch)


def at(pid: int, *domains: str, ticks: int = WHO.start_ticks, exempt: bool = False) -> Member:
    return Member(Merger(pid, ticks, "x", KNOWN, "prctl"), domains, exempt)


def test_foreign_ones_are_detached_after_they_were_looked_at_again(doings: Doings) -> None:
    web, db, nobodys = at(2, "web"), at(3, "db"), at(4)
    doings.places |= {2: web, 3: db, 4: nobodys}
    doings.enforcer.enforce(TrustView(NAMES, (web, db, nobodys), "web"))
    assert doings.done == [(Deed.OFF, 3), (Deed.OFF, 4)]
    assert [kind for kind, _ in doings.said] == ["info", "info"]
    assert "PID 3 (x), which is in trust domain db, while web merges" in doings.said[0][1]


def test_what_marked_itself_is_unmarked(doings: Doings) -> None:
    doings.candidate = replace(doings.candidate, merges=False)
    doings.places[4] = at(4)
    doings.enforcer.enforce(TrustView(NAMES, (at(4),), None))
    assert doings.done == [(Deed.UNMARK, 4)]


@pytest.mark.parametrize(
    "now", [None, at(4, "web"), at(4, exempt=True), at(4, ticks=1), at(4, "web", "db")]
)
def test_who_moved_ended_or_has_a_reused_pid_is_spared(doings: Doings, now: Member | None) -> None:
    doings.places[4] = now
    doings.enforcer.enforce(TrustView(NAMES, (at(4),), "web"))
    assert doings.done == []
    assert doings.said == []


def test_nothing_is_done_while_it_is_unknown_who_may_merge(doings: Doings) -> None:
    doings.places[4] = at(4)
    doings.enforcer.enforce(TrustView(NAMES, (at(4),), "web", is_sure=False))
    doings.enforcer.enforce(None)
    assert doings.done == []


def test_what_does_not_fit_is_left_and_told_once(doings: Doings) -> None:
    doings.room = False
    doings.places[4] = at(4)
    trust = TrustView(NAMES, (at(4),), "web")
    doings.enforcer.enforce(trust)
    doings.enforcer.enforce(trust)
    assert doings.done == []
    ((kind, text),) = doings.said
    assert kind == "error"
    assert "it does not fit; stop some programs" in text
    assert "--force" not in text
    doings.room = True
    doings.enforcer.enforce(trust)
    assert doings.done == [(Deed.OFF, 4)]


def test_a_traced_or_stopped_process_is_left(doings: Doings) -> None:
    doings.candidate = replace(doings.candidate, tracer=7)
    doings.places[4] = at(4)
    doings.enforcer.enforce(TrustView(NAMES, (at(4),), None))
    assert doings.done == []
    assert "PID 7 traces it" in doings.said[0][1]


def test_a_file_that_could_not_be_read_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file: what was missing was a descriptor, or the directory of users."""
    trust = Trust((Domain("web", Rules(uids=(1,))),))
    answers: list[Trust | Exception] = [KsmrunError("Too many open files", ""), trust]

    def read() -> Trust:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(trust_watch, "_mark_of", lambda _file: (1,))
    monkeypatch.setattr(trust_watch, "read_trust", read)
    said: list[str] = []
    watch = TrustWatch(lambda _level, text: said.append(text))
    state = WatchState(HOST, ())
    assert watch.look(state) is None
    view = watch.look(state)
    assert view is not None and view.names == trust.names
    assert len(said) == 1 and not answers
