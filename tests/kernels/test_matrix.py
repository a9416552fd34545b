"""The verdicts on real kernels: four of them, and with KSMRUN_KERNELS=all every one.

The four are the oldest, one that does not join VMAs while merging is on, the newest, and one of
aarch64 with pages of 16 KiB.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from ksmrun.facts.launcher import parse_probe
from ksmrun.plan.mechanism import obstacle_to_merging

from .kernels import ARM64_16K, CLOUD_AMD64, CLOUD_ARM64
from .matrix import ALL, ARM64_VERSION, Guest, boot, build_arm64_initrd, build_initrd

FEW = {("5.10", CLOUD_AMD64), ("6.12", CLOUD_AMD64), ("7.3", CLOUD_AMD64), ("6.12", ARM64_16K)}


@dataclass(frozen=True)
class Expected:
    """From commits: d7597f59d1d3 (6.4) brought the prctl, cf7e7a3503df (6.17) joins VMAs again."""

    has_prctl: bool
    joins_vmas: bool

    @staticmethod
    def of(version: str) -> Expected:
        number = tuple(int(part) for part in version.split(".")[:2])
        return Expected(number >= (6, 4), number < (6, 4) or number >= (6, 17))


KERNELS = [(version, CLOUD_AMD64) for version in ALL]
KERNELS += [(ARM64_VERSION, CLOUD_ARM64), (ARM64_VERSION, ARM64_16K)]
if os.environ.get("KSMRUN_KERNELS") != "all":
    KERNELS = [kernel for kernel in KERNELS if kernel in FEW]


@pytest.fixture(scope="module")
def initrds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    arm64 = build_arm64_initrd(tmp_path_factory.mktemp("arm64"))
    amd64 = build_initrd(tmp_path_factory.mktemp("amd64"))
    return {CLOUD_AMD64: amd64, CLOUD_ARM64: arm64, ARM64_16K: arm64}


@pytest.fixture(scope="module", params=KERNELS, ids="-".join)
def booted(request: pytest.FixtureRequest, initrds: dict[str, Path]) -> tuple[str, Guest]:
    version, flavour = request.param
    return version, boot(version, initrds[flavour], flavour)


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
    flags = [value for name, value in values.items() if name.startswith(("flag_", "shim_"))]
    assert flags == [wanted] * (5 if "amd64" in guest.kernel else 3)
    assert values["open"].endswith("started|")
    if wanted == "yes":
        assert values["require"] == "0"
        assert "carries the merge flag after the exec" in values["verify"]
        # Two programs of 4 MiB with equal bytes: each page of one is shared with the other's.
        assert int(values["sharing"]) >= (4 << 20) // int(values["page"])
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
        assert brk == mmap == (2 << 20) // int(guest.values["page"])
