"""`ksmrun estimate`: what merging would save on running processes; switches nothing on."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from ksmrun.commands.declare import Registry, declare
from ksmrun.commands.output import (
    mib,
    print_json,
    print_note,
    print_table,
    say,
    sudo_line,
)
from ksmrun.commands.selection import selected
from ksmrun.commands.table import Column, Style, style_of, wants_json
from ksmrun.facts.ksm import ROOT, read_ksm
from ksmrun.facts.runtime import find_runtime
from ksmrun.facts.select import programs
from ksmrun.facts.target import look_at
from ksmrun.model.errors import EXIT_FAILURE
from ksmrun.model.estimate import Estimate, Frames, Prediction
from ksmrun.observe.estimate import look_at_pages
from ksmrun.observe.predict import predict, predict_all
from ksmrun.options.estimate import ESTIMATE, EstimateOptions
from ksmrun.plan.runtimes import gains_of, untold_gains
from ksmrun.support.advice import require_module
from ksmrun.support.units import processes

SCHEMA = "ksmrun-estimate-1"
# mm/ksm.c: struct ksm_rmap_item, one for each page that ksmd scans.
RMAP_ITEM_BYTES = 64


def register(registry: Registry) -> None:
    """Add the command."""
    declare(registry, ESTIMATE, estimate)


def estimate(options: EstimateOptions) -> None:
    """Look at the pages, and print what would be saved."""
    style = style_of(options)
    chosen = selected(options)
    look = functools.partial(
        look_at_pages,
        layout=options.layout,
        volatile_after_seconds=options.volatile_after_seconds,
        max_page_sharing=read_ksm(ROOT).number("max_page_sharing"),
    )
    if options.sample is None:
        found = look(chosen)
        predictions, looks = [predict("", found)], [found]
    else:
        require_module("scipy", "--sample needs SciPy", "ab")
        pairs = [predict_all(*group, options.sample, look) for group in programs(chosen).items()]
        predictions, looks = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if wants_json(options):
        print_json(
            SCHEMA,
            predictions=[_fields(each) for each in predictions],
            looks=[asdict(each) for each in looks],
        )
    elif any(each.processes for each in looks):
        _print(predictions, looks, style)
    _say_unread(looks)
    for line in () if wants_json(options) else _notes(predictions, looks, chosen):
        print_note(line, style)
    if not any(each.processes for each in looks):
        raise SystemExit(EXIT_FAILURE)


def _fields(each: Prediction) -> dict[str, object]:
    requests = {
        "request_bytes": each.request_bytes,
        "request_layout_bytes": each.request_layout_bytes,
    }
    return {**asdict(each), **requests}


def _print(predictions: list[Prediction], looks: list[Estimate], style: Style) -> None:
    for prediction, found in zip(predictions, looks, strict=True):
        if not found.processes:
            continue
        if prediction.program:
            print_note(prediction.program, style)
        if prediction.looked_at == prediction.processes:
            _print_kinds(found, style)
        for line in _verdict(prediction, found):
            print_note(line, style)
    if len(predictions) > 1:
        now = sum(each.now_bytes for each in predictions)
        kept = sum(each.kept_bytes for each in predictions)
        width = sum(each.kept_half_width_bytes**2 for each in predictions) ** 0.5
        print_note(f"All together: {_saving(now, kept, width)}.", style)


def _print_kinds(found: Estimate, style: Style) -> None:
    has_volatile = found.volatile_after_seconds > 0
    has_layout = all(kind.layout for kind in found.kinds.values())
    # The results come last, and always stay.
    columns = [
        Column("MiB of", "left"),
        Column("in memory", "right"),
        Column("zeros", "right", 2),
        Column("across processes", "right", 3),
        Column("within one", "right", 4),
        Column("unique", "right", 5),
        *([Column("changing", "right", 1)] if has_volatile else []),
        Column("when merged", "right"),
        *([Column("with one layout", "right")] if has_layout else []),
    ]
    rows, sums = [], list[float]()
    for name, kind in found.kinds.items():
        sizes = [kind.frames, *_equal(kind.plain, volatile=has_volatile), kind.plain.kept]
        sizes += [kind.layout.kept] if kind.layout is not None and has_layout else []
        rows.append([name, *(mib(round(size * found.page_bytes)) for size in sizes)])
        sums = [total + size for total, size in zip(sums or [0.0] * len(sizes), sizes, strict=True)]
    rows.append(["all", *(mib(round(size * found.page_bytes)) for size in sums)])
    print_table(columns, rows, style)


def _equal(frames: Frames, *, volatile: bool) -> list[int]:
    return [
        frames.zero,
        frames.equal_across,
        frames.equal_within,
        frames.unique,
        *([frames.volatile] if volatile else []),
    ]


def _verdict(prediction: Prediction, found: Estimate) -> Iterator[str]:
    looked = (
        processes(prediction.processes)
        if prediction.looked_at == prediction.processes
        else f"{prediction.looked_at} of {processes(prediction.processes)} looked at"
    )
    records_bytes = prediction.processes * prediction.process_bytes / found.page_bytes
    records_bytes *= RMAP_ITEM_BYTES
    yield (
        f"{looked}: merging would save "
        + _saving(prediction.now_bytes, prediction.kept_bytes, prediction.kept_half_width_bytes)
        + f"; ksmd's records take {mib(round(records_bytes))} MiB of it."
    )
    if prediction.layout_kept_bytes is not None:
        width = prediction.layout_half_width_bytes or 0.0
        yield (
            "With one address layout (--layout shared), at least: "
            + _saving(prediction.now_bytes, prediction.layout_kept_bytes, width)
            + "."
        )
    if prediction.copy_bytes is not None:
        layout = prediction.copy_layout_bytes
        yield (
            f"One more process would take {mib(round(prediction.copy_bytes))} MiB instead of "
            f"{mib(round(prediction.process_bytes))}"
            + ("." if layout is None else f", with one layout {mib(round(layout))}.")
        )
    if prediction.request_bytes is not None:
        layout = prediction.request_layout_bytes
        yield (
            f"To request from a scheduler for each: {mib(round(prediction.request_bytes))} MiB"
            + ("" if layout is None else f", with one layout {mib(round(layout))}")
            + ", and what it has of files; one of them may then be unmerged, as at its start."
        )


def _saving(now_bytes: float, kept_bytes: float, half_width_bytes: float) -> str:
    saved = now_bytes - kept_bytes
    share = saved / now_bytes if now_bytes else 0.0
    if not half_width_bytes:
        return f"{mib(round(saved))} of {mib(round(now_bytes))} MiB ({share:.0%})"
    width = half_width_bytes / now_bytes
    return (
        f"{mib(round(saved))} ± {mib(round(half_width_bytes))} of {mib(round(now_bytes))} MiB "
        f"({share:.0%} ± {width:.0%})"
    )


def _say_unread(looks: list[Estimate]) -> None:
    unread = [each for found in looks for each in found.unread]
    if not unread:
        return
    first = unread[0]
    others = f" and {len(unread) - 1} more" if len(unread) > 1 else ""
    todo = f"run {sudo_line(['estimate', str(first.pid)])}"
    if os.geteuid() == 0:
        todo = "run this on the host, or give PIDs of other processes"
    say(f"PID {first.pid}{others} could not be read: {first.reason}; {todo}")


def _notes(
    predictions: list[Prediction], looks: list[Estimate], pids: Sequence[int]
) -> Iterator[str]:
    size = looks[0].page_bytes if looks else 0
    swapped = sum(each.swapped_pages for found in looks for each in found.processes)
    if swapped:
        yield f"{mib(swapped * size)} MiB are swapped out and not counted: KSM leaves them there."
    shared = sum(found.pages - found.frames for found in looks)
    if shared:
        yield f"{mib(shared * size)} MiB are shared already, by fork or KSM, and not counted twice."
    if any(found.processes and not found.frames_known for found in looks):
        yield (
            "Which pages are shared already is a guess without root; to do: "
            f"{sudo_line(['estimate'])} ..."
        )
    if sum(len(found.processes) for found in looks) == 1:
        yield "Only pages that are equal within this one process are counted; start another copy."
    yield from _untold(predictions, pids)


def _untold(predictions: list[Prediction], pids: Sequence[int]) -> Iterator[str]:
    """Yield the runtimes for which the effect of a shared layout cannot be computed.

    Their copies differ by more than pointers, and a layout comes with one hash seed.
    """
    now = sum(each.now_bytes for each in predictions)
    kept = sum(each.layout_kept_bytes or 0.0 for each in predictions)
    if not now or any(each.layout_kept_bytes is None for each in predictions):
        return
    for program in programs(pids):
        runtime = find_runtime(look_at(os.fsencode(program), {})) if program else None
        # A runtime's gains in trials are no promise for a program that embeds it.
        gains = (
            None if runtime is None or runtime.is_inside else gains_of(runtime.name, runtime.major)
        )
        if runtime is not None and gains is not None:
            yield from untold_gains(program, runtime.name, gains, 1 - kept / now)
