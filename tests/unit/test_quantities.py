"""ps, top and the metrics have the same words, units and sums: one table."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.commands.ps import figures_of
from ksmrun.commands.top.frame import View, columns_of
from ksmrun.experiment.summary import HOLD_METRICS
from ksmrun.model.process import ProcessKsm, ProcessList
from ksmrun.model.quantities import METRICS, metric_id
from ksmrun.model.watch import ALERT_KINDS as KINDS
from ksmrun.model.watch import Watched, WatchState
from ksmrun.observe.groups import Group
from ksmrun.observe.quantities import QUANTITIES
from ksmrun.report.values import value_text, word_of
from ksmrun.watch.metrics import Shown, WatchCollector

from .test_conditions import HOST, WHO

FIGURES = st.none() | st.integers(0, 1 << 40)
COUNTS = st.none() | st.integers(0, 1 << 20)


@given(st.lists(st.tuples(COUNTS, COUNTS, FIGURES, FIGURES, COUNTS), min_size=1, max_size=5))
def test_one_value_everywhere(rows: list[tuple[int | None, ...]]) -> None:
    who = [replace(WHO, pid=number) for number in range(len(rows))]
    listed = tuple(
        ProcessKsm(each, "prctl", merging, zero, 0, profit, None, pss, maps)
        for each, (merging, zero, profit, pss, maps) in zip(who, rows, strict=True)
    )
    watched = tuple(
        Watched(*(each, "prctl", merging, zero, 0, profit, None, pss, maps), since_full_scans=0)
        for each, (merging, zero, profit, pss, maps) in zip(who, rows, strict=True)
    )
    collector = WatchCollector()
    collector.shown = Shown(WatchState(HOST, watched), (), {}, 0.0)
    collector.shown.raised_total.update(dict.fromkeys(KINDS, 0))
    families = {family.name: family for family in collector.collect()}
    row = Group(None, "", listed)
    found = ProcessList(listed, 0, False, HOST.ksm.page_bytes, 0, HOST.max_map_count, 0)
    shown = dict(zip((each.word for each in QUANTITIES), figures_of(row, found), strict=True))
    for quantity in QUANTITIES:
        value = quantity.read(row, HOST.ksm.page_bytes, HOST.max_map_count)
        assert (shown[quantity.word] == "-") == (value is None)
        if quantity.is_metric:
            family = families[f"ksmrun_{quantity.quantity.id}"]
            assert family.documentation == quantity.quantity.help
            assert [sample.value for sample in family.samples] == ([] if value is None else [value])


def test_words() -> None:
    assert columns_of(View())[2:] == [
        f"{each.word}*" if each.word == "profit" else each.word for each in QUANTITIES
    ]


def test_the_report_has_the_words_of_ps() -> None:
    words = {each.quantity.id: each.word for each in QUANTITIES}
    assert {name: word_of(name) for name in ("pss_bytes", "rss_bytes", "maps_max")} == {
        name: words[name] for name in ("pss_bytes", "rss_bytes", "maps_max")
    }


def test_every_metric_of_an_experiment_has_a_word() -> None:
    assert {*HOLD_METRICS} == {*METRICS}
    words = Counter(each.word.casefold() for each in METRICS.values())
    assert max(words.values()) == 1


@given(st.sampled_from(sorted(METRICS)))
def test_a_metric_is_known_by_id_and_word(name: str) -> None:
    for said in (name, name.removesuffix("_bytes"), METRICS[name].word, METRICS[name].word.upper()):
        assert metric_id(said, METRICS) == name


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        *(("pss_bytes", 3 << 20, "3 MiB"), ("uss_bytes", -3 << 30, "-3.00 GiB")),
        *(("cpu_share", 0.25, "25.0%"), ("settle_seconds", 38.0, "38 s")),
        *(("minor_faults_per_second", 12.5, "12.5/s"), ("maps_max", 80.0, "80")),
        *(("p99", 1.5, "1.5"), ("heap_bytes", 1 << 20, "1 MiB"), ("hit_share", 0.5, "50.0%")),
    ],
)
def test_values_have_units(name: str, value: float, text: str) -> None:
    assert value_text(name, value) == text
