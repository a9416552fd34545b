"""Judge a program's known peaks of mappings by vm.max_map_count: input of the map-count guard."""

from __future__ import annotations

from ksmrun.facts.ksm import ROOT
from ksmrun.facts.maps import program_key, running_peak
from ksmrun.facts.text import read_int
from ksmrun.host.map_peaks import peaks_file, remember, remembered
from ksmrun.model.errors import KsmrunError
from ksmrun.model.launch import MapPeak, Request, TargetFacts
from ksmrun.plan.guard import Judgement, judge


def judge_target(
    request: Request, target: TargetFacts, *, adds_vmas: bool
) -> tuple[Judgement, tuple[str, ...]]:
    """Return the verdict, from the user's number, else from known peaks; and notes for the user."""
    limit = read_int(ROOT / "proc/sys/vm/max_map_count")
    peaks, notes = known_peaks(request, target)
    return judge(peaks, limit, request.map_reserve, vmas_merge=not adds_vmas), notes


def known_peaks(request: Request, target: TargetFacts) -> tuple[list[MapPeak], tuple[str, ...]]:
    """Return the peaks of running copies, which are saved, and the ones saved earlier; and notes.

    If the user gave a number, return it alone.
    """
    if request.expect_maps is not None:
        # That of the program as it will run: nothing is added to it.
        return [MapPeak("--expect-maps", request.expect_maps, None)], ()
    key, file = program_key(target), peaks_file()
    if key is None:
        return [], ()
    running, before, notes = None, None, []
    # A launch depends on neither.
    try:
        before = remembered(file, key) if file is not None else None
        running = running_peak(target)
    except KsmrunError as error:
        notes.append(str(error))
    except OSError as error:
        notes.append(
            f"running copies were not counted: {error.strerror}; raise the limit (ulimit -n)"
        )
    if running is not None and file is not None:
        remember(file, key, running)
    return [peak for peak in (running, before) if peak is not None], tuple(notes)
