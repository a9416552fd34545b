"""Input of the map-count guard, for `run` and `check`: the known peaks of a program."""

from __future__ import annotations

from ksmrun.commands.output import say
from ksmrun.facts.ksm import ROOT
from ksmrun.facts.maps import program_key, running_peak
from ksmrun.facts.text import read_int
from ksmrun.host.map_peaks import peaks_file, remember, remembered
from ksmrun.model.errors import KsmrunError
from ksmrun.model.launch import MapPeak, Request, TargetFacts
from ksmrun.plan.guard import Judgement, judge


def judge_target(request: Request, target: TargetFacts, *, adds_vmas: bool) -> Judgement:
    """Return the verdict, from the user's number, else from running copies and earlier peaks."""
    limit = read_int(ROOT / "proc/sys/vm/max_map_count")
    if request.expect_maps is not None:
        # The user's number is that of the program as it will run: nothing is added to it.
        peaks = [MapPeak("--expect-maps", request.expect_maps, None)]
    else:
        peaks = known_peaks(target)
    return judge(peaks, limit, request.map_reserve, vmas_merge=not adds_vmas)


def known_peaks(target: TargetFacts) -> list[MapPeak]:
    """Return the peaks of running copies, which are saved, and the ones saved earlier."""
    key, file = program_key(target), peaks_file()
    if key is None:
        return []
    running, before = None, None
    # A launch depends on neither.
    try:
        before = remembered(file, key) if file is not None else None
        running = running_peak(target)
    except KsmrunError as error:
        say(str(error))
    except OSError as error:
        say(f"running copies were not counted: {error.strerror}; raise the limit (ulimit -n)")
    if running is not None and file is not None:
        remember(file, key, running)
    return [peak for peak in (running, before) if peak is not None]
