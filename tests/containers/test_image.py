"""Images built from what `ksmrun wrap image` prints start what they started before, merged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ksmrun.facts.launcher import launcher_path
from ksmrun.model.wrap import LAUNCHER

from .engines import Engine, Place, base, docker, engine, merges, place, podman, root, wait_until

__all__ = ["base", "docker", "engine", "place", "podman", "root"]

IMAGES = {
    "exec": 'ENTRYPOINT ["/bin/report", "a b", "$X", "\\"q\\""]\nCMD ["c"]\nUSER 1000\nWORKDIR /tmp',
    "shell": "ENV X=1\nENTRYPOINT exec report-static one $X",
    "cmd": 'CMD ["report", "c d"]',
    "shell-cmd": "CMD exec report 'c d'",
    "none": "LABEL a=b",
}
ARGUMENTS: dict[str, list[tuple[str, ...]]] = {
    "exec": [(), ("other", "x y")],
    "shell": [()],
    "cmd": [(), ("report-static", "z")],
    "shell-cmd": [()],
    "none": [("report", "n")],
}


def wrapped(engine: Engine, image: str, *options: str) -> str:
    """An image of what `ksmrun wrap image` prints for this one."""
    lines = engine.place.ksmrun("wrap", "image", "--engine", engine.name, *options, image)
    files = {LAUNCHER.name: launcher_path(), "ksmrun": launcher_path().parent}
    return engine.build(f"{image}-wrapped", f"FROM {image}\n{lines}", files)


@pytest.mark.parametrize("kind", IMAGES)
def test_it_starts_the_same_and_merges(engine: Engine, base: str, kind: str) -> None:
    image = engine.build(kind, f"FROM {base}\n{IMAGES[kind]}\n")
    new = wrapped(engine, image)
    for arguments in ARGUMENTS[kind]:
        before = engine.run_report(image, *arguments)
        after = engine.run_report(new, *arguments)
        assert (before["merges"], after["merges"]) == (0, 1)
        assert after == {**before, "merges": 1}
        assert after["pid"] == 1
    settings = []
    for name in (image, new):
        (inspected,) = json.loads(engine("image", "inspect", name))
        settings.append({**inspected["Config"], "Entrypoint": 0, "Cmd": 0, "Image": 0})
    for key in ("User", "WorkingDir", "Env"):
        assert settings[0].get(key) == settings[1].get(key)


@pytest.fixture(scope="session")
def image(engine: Engine, base: str) -> str:
    """Wrapped; it starts `report`."""
    plain = engine.build("one", f'FROM {base}\nENTRYPOINT ["report"]\n')
    return wrapped(engine, plain)


INITS = {
    "none": ([], []),
    "before": ([], ["/usr/bin/tini", "--"]),
    "dumb-init before": ([], ["/usr/bin/dumb-init", "--"]),
    "the engine's": (["--init"], []),
}


@pytest.mark.parametrize("init", INITS)
def test_its_first_process_and_its_signals(engine: Engine, image: str, init: str) -> None:
    """The launcher leaves nobody between: `docker stop` ends the program by SIGTERM."""
    options, before = INITS[init]
    if before:
        whole = [*before, str(LAUNCHER), "--", "report"]
        options = [*options, "--entrypoint", whole[0]]
        words = [*options, image, *whole[1:]]
    else:
        words = [*options, image]
    with engine.started(*words) as container:
        first = engine.pid(container)
        report = json.loads(engine("logs", container))
        assert report["merges"] == 1
        assert (report["pid"] == 1) is (init == "none")
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        assert len(children) == (0 if init == "none" else 1)
        assert merges(int(children[0]) if children else first)
        # An init that starts the launcher does not merge, and need not.
        assert merges(first) is (init == "none")
        engine("stop", "--time", "30", container)
        assert "got 15" in engine("logs", container)
