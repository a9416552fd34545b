"""Log of the monitor: one line on stdout per message."""

from __future__ import annotations

import json
import os
import select
import sys
from datetime import UTC, datetime

from ksmrun.support.paste import pasteable
from ksmrun.support.words import printable

# Bytes per line. A ready pipe takes this many without blocking (pipe(7): PIPE_BUF).
LINE_BYTES_MAX = select.PIPE_BUF
# Time a reader gets for a line, once: SIGTERM must end the monitor within a second.
WAIT_SECONDS = 0.2
# Characters per value; JSON may write each as twelve bytes.
TEXT_MAX = 300


class Log:
    """Log that never blocks the monitor.

    If the reader is slow or gone, or the disk full, lines are dropped; the next line that can be
    written gives their number.
    """

    def __init__(self, form: str) -> None:
        self.form = form
        self._descriptor = None if sys.stdout is None else sys.stdout.fileno()
        self._lost = 0

    def say(self, level: str, text: str, **facts: str) -> None:
        """Write a line. level: info, warning or error. facts: only in the JSON form."""
        if self._lost and self._write("warning", f"{self._lost} lines could not be written", {}):
            self._lost = 0
        if self._lost or not self._write(level, text, facts):
            self._lost += 1

    def _write(self, level: str, text: str, facts: dict[str, str]) -> bool:
        data = self._line(level, printable(text), facts)
        if len(data) > LINE_BYTES_MAX:
            data = self._line(level, printable(text)[:TEXT_MAX] + " ...", {})
        if self._descriptor is None:
            return False
        try:
            wait_seconds = 0.0 if self._lost else WAIT_SECONDS
            _, ready, _ = select.select([], [self._descriptor], [], wait_seconds)
            return bool(ready) and os.write(self._descriptor, data) == len(data)
        except OSError:
            return False

    def _line(self, level: str, text: str, facts: dict[str, str]) -> bytes:
        if self.form == "plain":
            return f"{self._time()}{level}: {printable(pasteable(text))}\n".encode()
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        words = {name: printable(value) for name, value in facts.items()}
        line = json.dumps({"time": when, "level": level, "message": text, **words})
        return f"{line}\n".encode()

    def _time(self) -> str:
        """Return the local time before a line; empty where the journal adds its own."""
        if self._descriptor is None or _is_journal(self._descriptor):
            return ""
        return f"{datetime.now().astimezone().isoformat(sep=' ', timespec='seconds')} "


def _is_journal(descriptor: int) -> bool:
    """Return whether systemd connected this to the journal (systemd.exec(5): $JOURNAL_STREAM)."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
