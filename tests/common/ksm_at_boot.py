"""KSM and the map limit as the kernel boots with them while tests run; as before when they end."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KSM = Path("/sys/kernel/mm/ksm")
MAX_MAP_COUNT = "/proc/sys/vm/max_map_count"
# mm/ksm.c and include/linux/mm.h. What was killed together with its guardian may have left
# others.
AT_BOOT = {
    "advisor_mode": "none",
    "run": "0",
    "pages_to_scan": "100",
    "sleep_millisecs": "20",
    "smart_scan": "1",
    "use_zero_pages": "0",
    MAX_MAP_COUNT: "65530",
}
# advisor_mode goes first: it resets pages_to_scan. In the background, so that tests which wait for
# any child of theirs do not wait for this one.
RESTORE = """
exec 3<&0
{
    read -r end
    for setting in "$@"; do
        [ "$(cat "${setting%%=*}")" = "${setting#*=}" ] ||
            echo "${setting#*=}" >"${setting%%=*}"
    done
} <&3 3<&- 2>/dev/null &
"""


def tunables() -> dict[str, str]:
    """What KSM is set to, read without the product's help."""
    files = [file for file in sorted(KSM.iterdir()) if file.stat().st_mode & stat.S_IWUSR]
    texts = {file.name: file.read_text().strip() for file in files}
    return {name: text.partition("[")[2].partition("]")[0] or text for name, text in texts.items()}


@contextmanager
def ksm_at_boot() -> Iterator[None]:
    """The host's own settings come back when the tests end and when they are killed."""
    found = tunables() if KSM.is_dir() else {}
    found[MAX_MAP_COUNT] = Path(MAX_MAP_COUNT).read_text().strip()
    names = sorted(found.items(), key=lambda pair: pair[0] != "advisor_mode")
    settings = [f"{name}={value}" for name, value in names]
    guardian = subprocess.Popen(
        ["sh", "-c", RESTORE, "guardian", *settings],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=KSM if KSM.is_dir() else None,
        start_new_session=True,
    )
    guardian.wait()
    try:
        for name, value in AT_BOOT.items():
            if found.get(name, value) != value:
                (KSM / name).write_text(value)
        yield
    finally:
        assert guardian.stdin is not None and guardian.stdout is not None
        guardian.stdin.close()
        # It ends with the last process that has it open.
        guardian.stdout.read()
