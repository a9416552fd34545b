"""The verdicts on real kernels: three of them, and with KSMRUN_KERNELS=all every one.

The three are the oldest, one that does not join VMAs while merging is on, and the newest.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from ksmrun.facts.launcher import parse_probe
from ksmrun.plan.mechanism import obstacle_to_merging

from .matrix import ALL, Guest, boot, build_initrd

FEW = ("5.10", "6.12", "7.3")


@dataclass(frozen=True)
class Expected:
    """From commits: d7597f59d1d3 (6.4) brought the prctl, cf7e7a3503df (6.17) joins VMAs again."""

    has_prctl: bool
    joins_vmas: bool

    @staticmethod
    def of(version: str) -> Expected:
        number = tuple(int(part) for part in version.split(".")[:2])
        return Expected(number >= (6, 4), number < (6, 4) or number >= (6, 17))


@pytest.fixture(scope="module")
def initrd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_initrd(tmp_path_factory.mktemp("initrd"))


@pytest.fixture(scope="module", params=ALL if os.environ.get("KSMRUN_KERNELS") == "all" else FEW)
def booted(request: pytest.FixtureRequest, initrd: Path) -> tuple[str, Guest]:
    return request.param, boot(request.param, initrd)


def test_probe(booted: tuple[str, Guest]) -> None:
    version, guest = booted
    expected = Expected.of(version)
    probe = parse_probe(guest.values["probe"])
    assert probe.kernel.startswith(f"{version}.")
    assert probe.prctl_supported is expected.has_prctl
    assert probe.vmas_merge is expected.joins_vmas
    assert probe.set_mm_map_allowed is probe.ptrace_allowed is True
    if expected.has_prctl:
        assert probe.kept_over_fork is probe.kept_over_exec is True
        assert obstacle_to_merging(probe) is None
        assert guest.values["scanned_probe"].startswith("yes")
    else:
        assert probe.prctl_obstacle == "kernel-too-old"
        assert probe.kept_over_fork is probe.kept_over_exec is None


def test_launches(booted: tuple[str, Guest]) -> None:
    version, guest = booted
    values = guest.values
    wanted = "yes" if Expected.of(version).has_prctl else "no"
    assert {values[f"flag_{kind}"] for kind in ("static", "glibc", "musl")} == {wanted}
    assert {values[f"shim_{kind}"] for kind in ("glibc", "musl")} == {wanted}
    assert values["open"].endswith("started|")
    if wanted == "yes":
        assert values["require"] == "0"
        assert "carries the merge flag after the exec" in values["verify"]
        # Two programs of 4 MiB with equal bytes: each page of one is shared with the other's.
        assert int(values["sharing"]) >= (4 << 20) // 4096
    else:
        assert values["require"] == "125"
        assert "which came with Linux 6.4" in values["open"]
        assert values["sharing"] == "0"


def test_map_count(booted: tuple[str, Guest]) -> None:
    """The program's own count, without ksmrun and with it."""
    version, guest = booted
    brk, mmap = (int(number) for number in guest.values["unwrapped_vmas"].split())
    assert brk + mmap <= 2
    brk, mmap = (int(number) for number in guest.values["vmas"].split())
    if Expected.of(version).joins_vmas:
        assert brk + mmap <= 2
    else:
        assert brk == mmap == 512
