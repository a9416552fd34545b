"""Images built from what `ksmrun wrap image` prints start the same command as before, merged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ksmrun.facts.launcher import launcher_path
from ksmrun.model.wrap import LAUNCHER

from .engines import KSMRUN, Engine, Place, base, docker, engine, merges, place, podman, root

__all__ = ["base", "docker", "engine", "place", "podman", "root"]

IMAGES = {
    "exec": 'USER 1000\nWORKDIR /tmp\nENTRYPOINT ["report", "a b", "$X", "\\"q\\""]\nCMD ["c"]',
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
    """Build an image of what `ksmrun wrap image` prints for this one."""
    lines = engine.place.ksmrun("wrap", "image", "--engine", engine.name, *options, image)
    files = {LAUNCHER.name: launcher_path(), "ksmrun": launcher_path().parent}
    return engine.build(f"{image}-wrapped", f"FROM {image}\n{lines}", files)


# Docker is slow, and composes commands like Podman.
PODMAN = pytest.mark.parametrize("engine", ["podman"], indirect=True)
LONG = pytest.mark.long_run


def runs(all_names: Iterable[str], podman: Sequence[str], docker: Sequence[str]) -> list[Any]:
    """Return all names with both engines; all but these are left for the long run."""
    normal = {("podman", name) for name in podman} | {("docker", name) for name in docker}
    return [
        pytest.param(engine, name, marks=() if (engine, name) in normal else LONG)
        for engine in ("podman", "docker")
        for name in all_names
    ]


@pytest.mark.parametrize(
    ("engine", "kind"), runs(IMAGES, ["exec", "shell", "cmd", "none"], ["cmd"]), indirect=["engine"]
)
def test_it_starts_the_same_and_merges(engine: Engine, base: str, kind: str) -> None:
    image = engine.build(kind, f"FROM {base}\n{IMAGES[kind]}\n")
    new = wrapped(engine, image)
    for arguments in ARGUMENTS[kind]:
        before = engine.run_report(image, *arguments)
        after = engine.run_report(new, *arguments)
        assert (before["merges"], before["pid"]) == (0, 1)
        assert after == {**before, "merges": 1}
    configs = []
    for name in (image, new):
        (inspected,) = json.loads(engine("image", "inspect", name))
        configs.append([inspected["Config"].get(key) for key in ("User", "WorkingDir", "Env")])
    assert configs[0] == configs[1]


@pytest.fixture(scope="module")
def image(engine: Engine, base: str) -> str:
    """Build a wrapped image that starts `report`."""
    plain = engine.build("one", f'FROM {base}\nENTRYPOINT ["report"]\n')
    return wrapped(engine, plain)


LAUNCH = [str(LAUNCHER), "--"]
# Options of the engine, and the whole command; whether the init merges too.
INITS: dict[str, tuple[list[str], list[str], bool]] = {
    "none": ([], [*LAUNCH, "report"], True),
    "tini before": ([], ["/usr/bin/tini", "--", *LAUNCH, "report"], False),
    "tini after": ([], [*LAUNCH, "/usr/bin/tini", "--", "report"], True),
    "dumb-init before": ([], ["/usr/bin/dumb-init", "--", *LAUNCH, "report"], False),
    "dumb-init after": ([], [*LAUNCH, "/usr/bin/dumb-init", "--", "report"], True),
    "the engine's": (["--init"], [*LAUNCH, "report"], False),
}
INITS_RUN = runs(INITS, ["none", "tini before", "dumb-init after", "the engine's"], ["none"])


@pytest.mark.parametrize(("engine", "init"), INITS_RUN, indirect=["engine"])
def test_its_first_process_and_its_signals(engine: Engine, image: str, init: str) -> None:
    """The launcher leaves no process in between: `stop` ends the program by SIGTERM."""
    options, whole, init_merges = INITS[init]
    with engine.started(*options, "--entrypoint", whole[0], image, *whole[1:]) as container:
        first = engine.pid(container)
        report = json.loads(engine("logs", container))
        assert report["merges"] == 1
        assert (report["pid"] == 1) is (init == "none")
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        assert len(children) == (0 if init == "none" else 1)
        assert merges(int(children[0]) if children else first)
        assert merges(first) is init_merges
        engine("stop", "--time", "30", container)
        assert "got 15" in engine("logs", container)


@pytest.mark.host_ksm
@pytest.mark.parametrize("engine", ["podman", pytest.param("docker", marks=LONG)], indirect=True)
def test_what_is_said_where_the_host_does_not_merge(engine: Engine, image: str) -> None:
    assert Path("/sys/kernel/mm/ksm/run").read_text() == "0\n"
    run = (engine.name, "run", "--rm", "--network", "none")
    done = engine.place.try_run(*run, image)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 0 and "KSM is off on this host" in line
    guard = ("--entrypoint", str(LAUNCHER), image, "--require-max-map-count=999999999", "report")
    done = engine.place.try_run(*run, *guard)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (125, "")
    assert "vm.max_map_count" in line


@PODMAN
def test_one_layout(engine: Engine, base: str, place: Place) -> None:
    """The containers' key reaches the container by the bind mount that is printed."""
    layout = ("--layout", "shared", "--require")
    image = engine.build("layout", f'FROM {base}\nENTRYPOINT ["report"]\n')
    lines = place.ksmrun("wrap", "image", *layout, image).splitlines()
    volume = next(line for line in lines if "--volume" in line).split("--volume ")[1]
    key = place.folder / "group.key"
    environment = {"KSMRUN_LAYOUT_DIR": str(place.folder / "keys")}
    make = ("layout", "key", "default", "--containers", "--output", key)
    place.ksmrun(*make, environment=environment)
    source, _, rest = volume.partition(":")
    assert source == "/run/ksmrun/layout/containers/host/default.0.key"
    assert f"sudo ksmrun {' '.join(make[:4])}" in "\n".join(lines)
    new = wrapped(engine, image, *layout)
    reports = [
        engine.run_report("--env", "ADDRESS=1", "--volume", f"{key}:{rest}", new) for _ in range(2)
    ]
    assert reports[0] == reports[1]
    assert engine.run_report("--env", "ADDRESS=1", image)["main"] != reports[0]["main"]
    # Without the key it does not start, because of --require.
    assert place.try_run("podman", "run", "--rm", new).returncode == 125


@PODMAN
def test_the_shim(engine: Engine, base: str) -> None:
    image = engine.build("shim", f'FROM {base}\nENTRYPOINT ["report"]\n')
    new = wrapped(engine, image, "--mechanism", "preload")
    with engine.started(new) as container:
        assert "libksmrun-preload.so" in Path(f"/proc/{engine.pid(container)}/maps").read_text()


def test_ways_to_name_an_image(podman: Engine, place: Place, tmp_path: Path) -> None:
    """Saved, from an engine's store, piped: always the same lines."""
    plain = podman.build("named", 'FROM scratch\nENTRYPOINT ["/e"]\nCMD ["c"]\n')
    expected = place.ksmrun("wrap", "image", plain)
    archive, oci = tmp_path / "docker.tar", tmp_path / "oci"
    podman("save", "--output", archive, plain)
    podman("save", "--format", "oci-dir", "--output", oci, plain)
    podman("save", "--format", "oci-archive", "--output", tmp_path / "oci.tar", plain)
    stored = f"containers-storage:localhost/{plain}"
    for name in (archive, oci, tmp_path / "oci.tar", f"docker-archive:{archive}", stored):
        assert place.ksmrun("wrap", "image", name) == expected
    piped = podman("image", "inspect", plain)
    assert place.ksmrun("wrap", "image", "-", input=piped) == expected
    as_json = json.loads(place.ksmrun("wrap", "image", "--json", plain))
    assert as_json["argv"][-3:] == ["--", "/e", "c"]
    assert as_json["dockerfile"] == expected


REFUSED: dict[str, tuple[Any, str]] = {
    "arm64": ({"Architecture": "arm64", "Os": "linux", "Config": {}}, "is for arm64"),
    "windows": ({"Architecture": "amd64", "Os": "windows", "Config": {}}, "for windows"),
    "wrapped": ({"Os": "linux", "Config": {"Entrypoint": [str(LAUNCHER)]}}, "already wrapped"),
    "nothing": ([], "0 images"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_images_that_are_refused(place: Place, kind: str) -> None:
    data, part = REFUSED[kind]
    done = place.try_run(KSMRUN, "wrap", "image", "-", input=json.dumps(data))
    assert (done.returncode, done.stdout) == (1, "")
    assert part in done.stderr and "Traceback" not in done.stderr


def test_an_image_that_is_not_there(place: Place) -> None:
    done = place.try_run(KSMRUN, "wrap", "image", "no-such-image")
    assert done.returncode == 1
    assert "podman:" in done.stderr and "pull or build it first" in done.stderr
