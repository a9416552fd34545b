"""What merging would leave of processes: from a look at all of them, or at some of each program."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from ksmrun.facts.process import read_memory
from ksmrun.model.estimate import Estimate, Prediction
from ksmrun.observe.extrapolate import Extrapolated, extrapolate
from ksmrun.support.foreign import raise_shortage

# Fewer say too little about the rest; programs with no more than these are looked at whole.
SAMPLED_MIN = 8


def predict(program: str, estimate: Estimate) -> Prediction:
    """Of the processes that were looked at."""
    size, count = estimate.page_bytes, len(estimate.processes)
    layout = estimate.kept_layout
    copy, copy_layout = (estimate.copy_pages(layout=each) for each in (False, True))
    return Prediction(
        program=program,
        processes=count,
        looked_at=count,
        now_bytes=estimate.frames * size,
        kept_bytes=estimate.kept_plain * size,
        kept_half_width_bytes=0.0,
        layout_kept_bytes=None if layout is None else layout * size,
        layout_half_width_bytes=None if layout is None else 0.0,
        copy_bytes=None if copy is None else copy * size,
        copy_layout_bytes=None if copy_layout is None else min(copy_layout, copy or 0) * size,
        process_bytes=estimate.pages / max(count, 1) * size,
    )


def chosen(pids: Sequence[int], share: float) -> tuple[int, ...]:
    """At random that share of them, or SAMPLED_MIN."""
    count = min(len(pids), max(SAMPLED_MIN, math.ceil(share * len(pids))))
    return tuple(sorted(random.sample(list(pids), count)))


def predict_all(
    program: str,
    pids: Sequence[int],
    share: float,
    look: Callable[[Sequence[int]], Estimate],
) -> tuple[Prediction, Estimate]:
    """Of a program's processes, of which only that share is looked at. Needs SciPy for that."""
    some = chosen(pids, share)
    estimate = look(some)
    prediction = predict(program, estimate)
    if len(some) == len(pids) or len(estimate.processes) < SAMPLED_MIN // 2:
        return prediction, estimate
    count, size = len(pids) - len(estimate.unread), estimate.page_bytes
    now_bytes = _pss_anonymous_bytes(pids)
    plain = extrapolate([each.plain for each in estimate.processes], estimate.kept_plain, count)
    layouts = [each.layout for each in estimate.processes if each.layout is not None]
    layout: Extrapolated | None = None
    if layouts and estimate.kept_layout is not None:
        layout = extrapolate(layouts, estimate.kept_layout, count)
    return Prediction(
        program=program,
        processes=count,
        looked_at=len(estimate.processes),
        now_bytes=now_bytes,
        kept_bytes=min(plain.contents * size, now_bytes),
        kept_half_width_bytes=plain.half_width * size,
        layout_kept_bytes=None if layout is None else min(layout.contents * size, now_bytes),
        layout_half_width_bytes=None if layout is None else layout.half_width * size,
        copy_bytes=prediction.copy_bytes,
        copy_layout_bytes=prediction.copy_layout_bytes,
        process_bytes=prediction.process_bytes,
    ), estimate


def _pss_anonymous_bytes(pids: Sequence[int]) -> float:
    """What the private memory of all of them takes; of those that ended nothing."""
    total = 0
    for pid in pids:
        try:
            total += read_memory(Path(f"/proc/{pid}")).pss_anonymous_bytes or 0
        except OSError as error:
            raise_shortage(error)
    return total
