"""Memory that merging would leave, from examining all processes or a sample of each program."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from ksmrun.facts.process import read_memory
from ksmrun.model.estimate import Estimate, Prediction
from ksmrun.observe.extrapolate import Extrapolated, extrapolate
from ksmrun.support.foreign import raise_shortage

# A smaller sample says too little; programs with no more than these are examined completely.
SAMPLED_MIN = 8


def predict(program: str, estimate: Estimate) -> Prediction:
    """Return the prediction for the processes that were examined."""
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
    """Return a random sample of this share, but at least SAMPLED_MIN."""
    count = min(len(pids), max(SAMPLED_MIN, math.ceil(share * len(pids))))
    return tuple(sorted(random.sample(list(pids), count)))


def predict_all(
    program: str,
    pids: Sequence[int],
    share: float,
    look: Callable[[Sequence[int]], Estimate],
) -> tuple[Prediction, Estimate]:
    """Return the prediction for a program of which this share is examined.

    Needs SciPy if below 1.
    """
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
    """Return the PSS of their private memory; processes that ended count as 0."""
    total = 0
    for pid in pids:
        try:
            total += read_memory(Path(f"/proc/{pid}")).pss_anonymous_bytes or 0
        except OSError as error:
            raise_shortage(error)
    return total
