"""Runtime that records its input, for ksmrun-oci to start, and bundles for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .bundles import plain_config
from .conftest import Done, run

RECORDER = """#!/bin/sh
for word; do printf '%s\\0' "$word"; done >"$RECORD"
echo out; echo err >&2; exit 42
"""
Start = Callable[..., Done]


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "record"


@pytest.fixture
def start(tmp_path: Path, oci: Path, record: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    recorder = tmp_path / "recorder"
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    monkeypatch.setenv("RECORD", str(record))
    monkeypatch.setenv("KSMRUN_OCI_RUNTIME", str(recorder))

    def start_one(*words: str | bytes, program: Path = oci, **options: Any) -> Done:
        command = [str(program), *words]
        return run(*command, **options)  # type: ignore[arg-type]

    return start_one


@pytest.fixture
def bundle(tmp_path: Path, root: Path) -> Path:
    """Make a bundle that would be wrapped."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(plain_config(root)))
    return folder


def assert_passed_through(done: Done, log: Path, why: str) -> None:
    assert (done.returncode, done.stdout, done.stderr) == (42, "out\n", "err\n")
    (line,) = log.read_text().splitlines()
    entry = json.loads(line)
    assert entry["level"] == "warning"
    assert why in entry["msg"], entry


def wrapped(bundle: Path) -> bool:
    config = json.loads((bundle / "config.json").read_text())
    return bool(config["process"]["args"][0] == "/dev/ksmrun/ksmrun-exec")
