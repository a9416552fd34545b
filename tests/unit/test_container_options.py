"""The launcher's words in a container, depending on the kernel and on what the user asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ksmrun.commands.wrap import container_options
from ksmrun.commands.wrap.container_options import Launcher, plan_launcher, refuse_foreign
from ksmrun.model.container import ImageConfig
from ksmrun.model.errors import KsmrunError
from ksmrun.model.launch import LayoutMode, LayoutScope, Probe, SeedMode, ThpMode
from ksmrun.model.wrap import LAUNCHER, ContainerKey
from ksmrun.options.containers import ContainerOptions

from .test_plan import GOOD

# 6.12, where the flag keeps VMAs apart; and 6.1, which has no flag.
JOINS = replace(GOOD, mmap_vmas=65, brk_vmas=64)
MARKS = replace(
    GOOD, prctl_supported=False, prctl_obstacle="kernel-too-old", prctl_obstacle_what="too old"
)
DEFAULTS = ContainerOptions()
SHIM = "--preload=/usr/local/libexec/ksmrun/shim/$PLATFORM/as-libasan.so/../libksmrun-preload.so"


def planned(monkeypatch: pytest.MonkeyPatch, probe: Probe, **changes: object) -> Launcher:
    monkeypatch.setattr(container_options, "cached_probe", lambda: probe)
    return plan_launcher(replace(DEFAULTS, **changes))  # type: ignore[arg-type]


def test_a_kernel_that_needs_no_shim(monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = planned(monkeypatch, GOOD)
    assert launcher.words == (str(LAUNCHER), "--merge=on", "--")
    assert not launcher.uses_shim


@pytest.mark.parametrize(("probe", "word"), [(JOINS, "join"), (MARKS, "mark")])
def test_a_kernel_that_wants_the_shim(
    monkeypatch: pytest.MonkeyPatch, probe: Probe, word: str
) -> None:
    launcher = planned(monkeypatch, probe)
    assert SHIM in launcher.words and launcher.uses_shim
    assert any(each.startswith(f"--shim={word}") for each in launcher.words)


def test_all_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KSMRUN_LAYOUT_DIR", str(tmp_path))
    launcher = planned(
        monkeypatch,
        GOOD,
        require=True,
        require_max_map_count=262144,
        thp=ThpMode.OFF,
        layout=LayoutMode.SHARED,
        layout_group="games",
        layout_scope=LayoutScope.TREE,
        seeds=SeedMode.OWN,
    )
    assert launcher.words[1:] == (
        *("--merge=on", "--layout=shared", "--layout-key=/run/ksmrun-layout.key"),
        *("--layout-scope=tree", "--seeds=own", "--thp=off", "--require"),
        *("--require-max-map-count=262144", "--"),
    )
    assert launcher.key == ContainerKey("games")
    assert launcher.key.path == "/run/ksmrun/layout/containers/host/games.0.key"
    with pytest.raises(KsmrunError, match="not a valid name of a layout group"):
        planned(monkeypatch, GOOD, layout=LayoutMode.SHARED, layout_group="../x")


def test_images_for_other_machines() -> None:
    for image in (ImageConfig("i", (), ()), ImageConfig("i", (), (), "", "linux")):
        refuse_foreign(image)
    for architecture, system in (("s390x", "linux"), ("amd64", "windows")):
        with pytest.raises(KsmrunError):
            refuse_foreign(ImageConfig("i", (), (), architecture, system))
