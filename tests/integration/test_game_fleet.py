"""The example of game servers, at a small size: real servers, simulated users, merged memory."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from volume import IS_LONG

pytestmark = pytest.mark.host_ksm
SCRIPT = Path(__file__).parents[2] / "examples" / "game-fleet" / "run.sh"
USERS, SERVERS = 240, 8


def test_idle_and_with_users(tmp_path: Path) -> None:
    """Less can merge of 8 servers in two languages than of 256, and with users still less."""
    loads = ((0, 0.3, 0.6), (USERS, 0.2, 0.3))[0 if IS_LONG else 1 :]
    command = ["sh", str(SCRIPT), "--size", "small", "--output", str(tmp_path)]
    for users, _, _ in loads:
        command += ["--users", str(users)]
    script = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "KSMRUN_VENV": sys.prefix},
        start_new_session=True,
    )
    try:
        output, errors = script.communicate(timeout=300)
    finally:
        # The processes that it started would go on measuring.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(script.pid, signal.SIGTERM)
    assert script.returncode == 0, output + errors
    assert "Traceback" not in errors
    for users, least_plain, least_shared in loads:
        arms = {arm: metrics(tmp_path / f"users-{users}", arm) for arm in ("off", "on", "shared")}
        saved = {arm: 1 - arms[arm]["pss_bytes"] / arms["off"]["pss_bytes"] for arm in arms}
        assert saved["on"] > least_plain
        assert saved["shared"] > max(least_shared, saved["on"])
        if users:
            # Each user sends a request about once in four seconds, at random.
            assert all(arm["throughput"] > users / 4 / 3 for arm in arms.values())
    assert (tmp_path / "table.md").read_text() == output
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def metrics(folder: Path, arm: str) -> dict[str, float]:
    """Return the metrics of the first round."""
    result = json.loads((folder / "rounds" / f"001-{arm}.json").read_text())
    found: dict[str, float] = result["metrics"]
    assert not [what for what, _todo in result["warnings"] if "load" in what]
    return found
