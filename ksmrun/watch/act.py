"""What an alert sets off: a line in the log, a command, a higher map limit."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from ksmrun.facts.ksm import ROOT
from ksmrun.facts.text import read_int
from ksmrun.host.record import state_folder
from ksmrun.host.tunables import MAX_MAP_COUNT, set_max_map_count
from ksmrun.model import KsmrunError
from ksmrun.model.watch import Event
from ksmrun.watch.config import Config

# Of commands that hang, no more are started, and after so long they are ended.
COMMANDS_MAX = 8
COMMAND_SECONDS = 60.0


class Actor:
    """Carries out what the configuration says of events."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._commands: list[tuple[float, subprocess.Popen[bytes]]] = []

    def act(self, events: Sequence[Event]) -> None:
        """For each a line and a command; and one higher limit for all that need it."""
        for event in events:
            self._log(event)
            self._run(event)
        self._raise_limit(events)

    def say(self, level: str, text: str, **facts: str) -> None:
        """One line on stdout; a reader that went away must not end the watch."""
        if self.config.log == "json":
            when = datetime.now(UTC).isoformat(timespec="milliseconds")
            line = json.dumps({"time": when, "level": level, "message": text, **facts})
        else:
            line = f"{level}: {text}"
        try:
            print(line, flush=True)
        except OSError:
            # Else the interpreter would complain at its end.
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123

    def _log(self, event: Event) -> None:
        condition = event.condition
        text = f"{condition.kind}: {condition.what}; {condition.todo}"
        if not event.raised:
            text = f"{condition.kind}: over for {condition.subject}"
        state = "raised" if event.raised else "cleared"
        facts = {"kind": condition.kind, "state": state, "subject": condition.subject}
        self.say("warning" if event.raised else "info", text, **facts, **condition.facts)

    def _run(self, event: Event) -> None:
        self.reap()
        if self.config.on_alert is None:
            return
        if len(self._commands) >= COMMANDS_MAX:
            self.say(
                "error",
                f"{COMMANDS_MAX} commands of --on-alert still run; left out: "
                f"{event.condition.kind} of {event.condition.subject}",
            )
            return
        condition = event.condition
        words = {
            "KIND": condition.kind,
            "STATE": "raised" if event.raised else "cleared",
            "SUBJECT": condition.subject,
            "MESSAGE": condition.what,
            "TODO": condition.todo,
            **{key.upper(): value for key, value in condition.facts.items()},
        }
        environment = {f"KSMRUN_ALERT_{key}": value for key, value in words.items()}
        try:
            process = subprocess.Popen(
                shlex.split(self.config.on_alert),
                stdin=subprocess.DEVNULL,
                env={**os.environ, **environment},
                start_new_session=True,
                # The monitor waits for these by sigtimedwait, so they are blocked in it.
                preexec_fn=_unblock_all,
            )
        except (OSError, ValueError) as error:
            self.say("error", f"--on-alert {self.config.on_alert}: {error}")
        else:
            self._commands.append((time.monotonic(), process))

    def reap(self) -> None:
        """Ends those that take too long."""
        left = []
        for started, process in self._commands:
            if process.poll() is not None:
                if process.returncode:
                    self.say("error", f"--on-alert ended with {process.returncode}")
            elif time.monotonic() - started > COMMAND_SECONDS:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                self.say("error", f"--on-alert was killed after {COMMAND_SECONDS:.0f} s")
            else:
                left.append((started, process))
        self._commands = left

    def _raise_limit(self, events: Sequence[Event]) -> None:
        most = self.config.raise_map_count_to
        wanted = [
            int(event.condition.facts["wanted"])
            for event in events
            if event.raised and event.condition.kind == "map-headroom"
        ]
        now = read_int(ROOT / MAX_MAP_COUNT)
        if most is None or not wanted or now is None:
            return
        limit = min(max(wanted), most)
        if limit <= now:
            self.say(
                "error",
                f"vm.max_map_count is {now} and may be raised to {most} only; "
                "raise --raise-map-count-to",
            )
            return
        try:
            line = set_max_map_count(limit, state_folder() / "host.json", ROOT)
        except KsmrunError as error:
            self.say("error", str(error))
        else:
            self.say("info", f"{line}; `ksmrun host restore` puts it back")


def _unblock_all() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
