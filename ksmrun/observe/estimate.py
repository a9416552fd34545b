"""Read the pages of processes through native/estimate/; they are neither stopped nor changed."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Sequence
from typing import Any

from ksmrun.facts.launcher import LAUNCHER
from ksmrun.facts.stat import thread_with_memory
from ksmrun.model.errors import KsmrunError
from ksmrun.model.estimate import Contents, Estimate, Frames, KindPages, ProcessPages, Unread
from ksmrun.support.advice import helper_todo

HASHER = LAUNCHER.with_name("ksmrun-estimate")
MAX_PAGE_SHARING = 256


def look_at_pages(
    pids: Sequence[int],
    *,
    layout: bool = True,
    volatile_after_seconds: float = 0.0,
    max_page_sharing: int | None = None,
) -> Estimate:
    """Return what the private pages of these processes have in common.

    Processes that are gone or may not be read are named in the result. Raises KsmrunError if no
    estimate is possible.
    """
    line = [
        str(HASHER),
        *(["--layout"] if layout else []),
        f"--max-page-sharing={max_page_sharing or MAX_PAGE_SHARING}",
        f"--volatile-after={volatile_after_seconds}",
        *(str(thread_with_memory(pid)) for pid in pids),
    ]
    try:
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise KsmrunError(
            f"cannot start {HASHER}: {error.strerror}", helper_todo(error.errno or 0, HASHER)
        ) from error
    if done.returncode != 0:
        what = done.stderr.strip().removeprefix("ksmrun-estimate: ")
        raise KsmrunError(
            what or f"{HASHER} failed with exit code {done.returncode}",
            f"run {HASHER} by hand to see why",
        )
    try:
        return parse(json.loads(done.stdout))
    except (ValueError, KeyError, TypeError) as error:
        raise KsmrunError(
            f"cannot read the output of {HASHER} ({error})",
            "install ksmrun again, so that both have the same version",
        ) from error


def parse(found: dict[str, Any]) -> Estimate:
    """Parse the JSON of ksmrun-estimate. Raises KeyError, TypeError."""
    processes = found["processes"]
    return Estimate(
        page_bytes=found["page_bytes"],
        frames_known=found["frames_known"],
        kinds={name: _kind(kind) for name, kind in found["kinds"].items()},
        processes=tuple(_process(each) for each in processes if "errno" not in each),
        unread=tuple(
            Unread(each["pid"], _reason(each["errno"])) for each in processes if "errno" in each
        ),
        untouched_pages=found["untouched_pages"],
        read_pages=found["read_pages"],
        read_seconds=found["read_seconds"],
        volatile_after_seconds=found["volatile_after_seconds"],
        own_peak_bytes=found["own_peak_bytes"],
    )


def _kind(found: dict[str, Any]) -> KindPages:
    layout = found.get("layout")
    return KindPages(
        found["pages"],
        found["frames"],
        Frames(**found["plain"]),
        None if layout is None else Frames(**layout),
    )


def _process(found: dict[str, Any]) -> ProcessPages:
    layout = found.get("layout")
    return ProcessPages(
        pid=found["pid"],
        pages=found["pages"],
        frames=found["frames"],
        swapped_pages=found["swapped_pages"],
        plain=Contents(**found["plain"]),
        layout=None if layout is None else Contents(**layout),
    )


_REASONS = {
    # ESRCH: a zombie or kernel thread, which have no memory, or a process that is gone.
    errno.ESRCH: "it has ended, or has no memory of its own",
    errno.ETIME: "it could not be read in time",
    errno.EFBIG: "far more pages to read than it has in memory",
}


def _reason(number: int) -> str:
    return _REASONS.get(number) or os.strerror(number)
