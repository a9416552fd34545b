"""ps, top and the metrics have the same words, units and sums: one table."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ksmrun.commands.ps import figures_of
from ksmrun.commands.top.frame import View, columns_of
from ksmrun.model.process import ProcessKsm, ProcessList
from ksmrun.model.watch import ALERT_KINDS as KINDS
from ksmrun.model.watch import MapCount, Watched, WatchState
from ksmrun.observe.groups import Group
from ksmrun.observe.quantities import QUANTITIES
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
        Watched(
            *(each, "prctl", merging, zero, 0, profit, 0),
            pss_bytes=pss,
            maps=None if maps is None else MapCount(maps, 0.0, 0.0),
        )
        for each, (merging, zero, profit, pss, maps) in zip(who, rows, strict=True)
    )
    collector = WatchCollector()
    collector.shown = Shown(WatchState(HOST, watched), (), {}, 0.0)
    collector.shown.raised_total.update(dict.fromkeys(KINDS, 0))
    families = {family.name: family for family in collector.collect()}
    row = Group(None, "", listed)
    found = ProcessList(listed, 0, False, HOST.page_bytes, 0, HOST.max_map_count, 0)
    shown = dict(zip((each.word for each in QUANTITIES), figures_of(row, found), strict=True))
    for quantity in QUANTITIES:
        value = quantity.read(row, HOST.page_bytes, HOST.max_map_count)
        assert (shown[quantity.word] == "-") == (value is None)
        if quantity.metric:
            family = families[f"ksmrun_{quantity.metric}"]
            assert family.documentation == quantity.help
            assert [sample.value for sample in family.samples] == ([] if value is None else [value])


def test_words() -> None:
    assert columns_of(View())[2:] == [
        f"{each.word}*" if each.word == "profit" else each.word for each in QUANTITIES
    ]
