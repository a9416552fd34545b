"""`ksmrun wrap unit --now`, interrupted while the service starts: everything is restored."""

from __future__ import annotations

import signal

import pytest
from waiting import LAST_RESORT_SECONDS, wait_until

from .boot import Guest
from .units import installed, show, wrap

# Its start takes longer than anybody waits.
SLOW = "[Service]\nType=oneshot\nExecStart=/bin/sleep 1000\n"
PID = "echo $$ >/shared/pid; exec ksmrun wrap unit --now --method=wrapper --require slow"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("is_wrapped", [False, True], ids=["bare", "wrapped"])
def test_all_is_taken_back(guest: Guest, number: signal.Signals, is_wrapped: bool) -> None:
    drop_in = guest.root / "etc/systemd/system/slow.service.d/zz-ksmrun.conf"
    with installed(guest, {"slow.service": SLOW}):
        if is_wrapped:
            wrap(guest, "--method=wrapper", "slow")
        before = drop_in.read_text() if is_wrapped else None
        asked = show(guest, "slow", "ExecStart").partition(" ; ignore_errors")[0]
        process = guest.start("sh", "-c", PID)
        wait_until(
            lambda: (
                drop_in.exists()
                and "--require" in drop_in.read_text()
                and show(guest, "slow", "ActiveState") == "activating"
            ),
            "it starts",
        )
        guest.run("kill", f"-{number.name}", (guest.shared / "pid").read_text().strip())
        _, said = process.communicate(timeout=LAST_RESORT_SECONDS)
        assert process.returncode != 0
        assert f"interrupted ({number.name}): every change was taken back" in said
        assert (drop_in.read_text() if drop_in.exists() else None) == before
        assert show(guest, "slow", "ExecStart").partition(" ; ignore_errors")[0] == asked
        assert drop_in.parent.exists() is is_wrapped
        guest.run("systemctl", "stop", "slow")
