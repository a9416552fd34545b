"""Results on real kernels: four of them, and with KSMRUN_KERNELS=all every one.

The four are the oldest, one that does not join VMAs while merging is on, the newest, and one of
aarch64 with 16 KiB pages.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from signal import SIGSEGV

import pytest

from ksmrun.facts.launcher import parse_probe
from ksmrun.model.launch import Mechanism, Request, TargetFacts
from ksmrun.plan.mechanism import choose, is_never_scanned, obstacle_to_merging

from .initrd import build_arm64_initrd, build_initrd
from .kernels import ARM64_16K, CLOUD_AMD64
from .matrix import ALL, ARM64, ARM64_64K, IS_LONG, PATCHED, UML, Guest, Kernel, boot

FEW = {("5.10", CLOUD_AMD64), ("6.12", CLOUD_AMD64), ("7.3", CLOUD_AMD64), ("6.12", ARM64_16K)}


@dataclass(frozen=True)
class Expected:
    """Expected results, from commits.

    d7597f59d1d3 (6.4) brought the prctl, 3c6f33b7273a (6.7) keeps the flag at exec, 3a9e567ca45f
    (6.10) registers the program, cf7e7a3503df (6.17) joins VMAs again.
    """

    has_ksm: bool
    has_prctl: bool
    kept_over_exec: bool
    scanned: bool
    joins_vmas: bool

    @staticmethod
    def of(kernel: Kernel) -> Expected:
        version, flavour = kernel
        number = tuple(int(part) for part in version.split(".")[:2])
        return Expected(
            has_ksm=flavour != UML,
            has_prctl=flavour != UML and number >= (6, 4),
            kept_over_exec=number >= (6, 7),
            scanned=number >= (6, 10),
            joins_vmas=number < (6, 4) or number >= (6, 17),
        )


KERNELS = ALL
if not IS_LONG:
    KERNELS = [kernel for kernel in ALL if kernel in FEW]


@pytest.fixture(scope="module")
def initrds(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Return the disks for aarch64, and for others."""
    arm64 = build_arm64_initrd(tmp_path_factory.mktemp("arm64"))
    return {True: arm64, False: build_initrd(tmp_path_factory.mktemp("amd64"))}


@pytest.fixture(scope="module", params=KERNELS, ids="-".join)
def booted(request: pytest.FixtureRequest, initrds: dict[bool, Path]) -> tuple[Kernel, Guest]:
    kernel: Kernel = request.param
    return kernel, boot(kernel, initrds[kernel[1] in ARM64])


def test_probe(booted: tuple[Kernel, Guest]) -> None:
    kernel, guest = booted
    expected = Expected.of(kernel)
    probe = parse_probe(guest.values["probe"])
    assert probe.kernel.startswith(f"{kernel[0]}.")
    assert probe.prctl_supported is expected.has_prctl
    assert probe.vmas_merge is expected.joins_vmas
    assert probe.ptrace_allowed is True
    # user-mode-linux is built without CONFIG_CHECKPOINT_RESTORE.
    assert probe.set_mm_map_allowed is expected.has_ksm
    if expected.has_prctl:
        assert probe.kept_over_fork is True
        assert probe.kept_over_exec is expected.kept_over_exec
        assert obstacle_to_merging(probe) is None
    else:
        obstacle = "kernel-too-old" if expected.has_ksm else "no-config-ksm"
        assert probe.prctl_obstacle == obstacle
        assert probe.kept_over_fork is probe.kept_over_exec is None
    scanned = {True: "yes", False: "no"}[expected.scanned]
    if not (expected.has_prctl and expected.kept_over_exec):
        scanned = "unknown"
    assert guest.values["scanned_probe"].startswith(f"{scanned} ")


def test_plan(booted: tuple[Kernel, Guest]) -> None:
    """A dynamic program is not left to the launcher's flag if that alone does not merge."""
    kernel, guest = booted
    expected = Expected.of(kernel)
    probe = parse_probe(guest.values["probe"])
    no_flag_will_do = expected.has_prctl and not expected.scanned
    assert is_never_scanned(probe) is (no_flag_will_do and expected.kept_over_exec)
    if no_flag_will_do:
        program = TargetFacts("/program", dynamic=True)
        choice = choose(Request((b"program",)), probe, program, b"/shim.so")
        assert choice.mechanism is not Mechanism.PRCTL
        assert choice.obstacle is None


def test_launches(booted: tuple[Kernel, Guest]) -> None:
    """The launcher's flag arrives as the kernel has it; the shim's wherever there is the prctl."""
    kernel, guest = booted
    expected, values = Expected.of(kernel), guest.values
    by_launcher, by_shim = ["static", "glibc", "musl"], ["glibc", "musl"]
    if kernel[1] not in (*ARM64, UML):
        by_launcher, by_shim = [*by_launcher, "i386-static", "i386"], [*by_shim, "i386"]
    arrives = expected.has_prctl and expected.kept_over_exec
    flags = {f"flag_{kind}": arrives for kind in by_launcher}
    flags |= {f"shim_{kind}": expected.has_prctl for kind in by_shim}
    seen = {key: value for key, value in values.items() if key.startswith(("flag_", "shim_"))}
    assert seen == {key: "yes" if arrived else "no" for key, arrived in flags.items()}

    # Pairs of 8 MiB with equal bytes: each page of one is shared with the other's, except the two
    # at the edges of marked memory, and on aarch64 the first ones, which may be in the 64 KiB
    # between two segments of a library, where they count as the library's.
    page_bytes = int(values["page"])
    pages = (8 << 20) // page_bytes - 2
    if kernel[1] in ARM64:
        pages -= (64 << 10) // page_bytes
    merges = dict.fromkeys(("both", "join", *by_shim), expected.has_prctl)
    merges |= dict.fromkeys((f"mark-{kind}" for kind in by_shim), expected.has_ksm)
    merges["static"] = arrives and expected.scanned
    merged = {
        key.partition("_")[2]: int(n) for key, n in values.items() if key.startswith("merged_")
    }
    if -1 in merged.values():
        # Before 6.1 no counter is per process.
        marked = sum(merges.values()) * pages
        assert set(merged) == set(merges)
        assert marked <= int(values.get("sharing", "0")) <= marked + 100
    elif expected.has_ksm:
        assert {kind: number >= pages for kind, number in merged.items()} == merges
        assert merges["static"] or merged["static"] == 0


def test_messages(booted: tuple[Kernel, Guest]) -> None:
    """For a static program, which no shim reaches."""
    kernel, guest = booted
    expected, values = Expected.of(kernel), guest.values
    assert values["open"].endswith("started|")
    if not expected.has_ksm:
        reason = "this kernel was built without CONFIG_KSM"
    elif not expected.has_prctl:
        reason = "which came with Linux 6.4"
    elif not expected.kept_over_exec:
        reason = "this kernel loses the merge flag at exec"
    else:
        reason = ""
    assert reason in values["open"]
    assert ("memory will not merge" in values["open"]) is bool(reason)
    assert values["require"] == ("125" if reason else "0")
    if reason:
        assert expected.has_prctl is ("the merge flag was lost at exec" in values["verify"])
    elif expected.scanned:
        assert "verified: " in values["verify"]
        assert "has the merge flag after the exec" in values["verify"]
    else:
        assert "never scan a program started with it" in values["verify"]


def test_map_count(booted: tuple[Kernel, Guest]) -> None:
    """Its own VMA count, without ksmrun and with it."""
    kernel, guest = booted
    brk, mmap = (int(number) for number in guest.values["unwrapped_vmas"].split())
    assert brk + mmap <= 2
    brk, mmap = (int(number) for number in guest.values["vmas"].split())
    expected = Expected.of(kernel)
    if expected.joins_vmas or not expected.kept_over_exec:
        assert brk + mmap <= 2
    else:
        assert brk == mmap == (4 << 20) // int(guest.values["page"])


# Four as on the host, where the program has grown before the first sweep. Emulated, it grows for
# seconds, and gets one more at each eightfold size from 64 KiB to 4 MiB, and again if the host is
# busy. Segments of aarch64 are 64 KiB apart, with a mapping in between.
MAPS_MORE_MAX, MAPS_MORE_MAX_ARM64 = 14, 18


def test_map_count_with_the_shim(booted: tuple[Kernel, Guest]) -> None:
    """Marking adds hardly any, and joining removes those that the flag adds."""
    kernel, guest = booted
    more = MAPS_MORE_MAX_ARM64 if kernel[1] in ARM64 else MAPS_MORE_MAX
    maps = {k.partition("_")[2]: int(n) for k, n in guest.values.items() if k.startswith("maps_")}
    for kind in (kind for kind in maps if kind.startswith("mark-")):
        unwrapped = maps[kind.replace("mark", "unwrapped")]
        assert maps[kind] <= unwrapped + more, kind
    assert maps["join"] <= maps["unwrapped-glibc"] + more


def test_stress(booted: tuple[Kernel, Guest]) -> None:
    """Threads, forks and exits beside the sweeper."""
    kernel, guest = booted
    kinds = {"glibc", "musl"}
    if kernel[1] not in (*ARM64, UML):
        kinds.add("i386")
    seen = {k.partition("_")[2]: v for k, v in guest.values.items() if k.startswith("stress_")}
    assert seen == {f"{way}-{kind}": "yes" for way in ("mark", "join") for kind in kinds}


PARTS = ("program", "local", "mmap", "brk", "vdso")
# Of 32 bits: PIE, and not.
NARROW = ("i386", "i386-static")
# Parts that are only where they were linked.
FIXED = ("static", "no-pie", "i386-static")


def test_layout(booted: tuple[Kernel, Guest]) -> None:
    """One layout per key, and everything else as without, on any page size."""
    kernel, guest = booted
    seen = {k.partition("_")[2]: v for k, v in guest.values.items() if k.startswith("where_")}
    kinds = {name.removesuffix("-plain") for name in seen if name.endswith("-plain")} - {*NARROW}
    assert kinds == {"static", "glibc", "musl", "no-pie", "static-pie"}
    assert kernel[1] != CLOUD_AMD64 or guest.values["huge"].startswith("[always]")
    if kernel[1] == UML:
        # It has no PR_SET_MM_MAP.
        assert all("shared layout not applied" in seen[f"{kind}-first"] for kind in kinds)
        return
    for kind in kinds:
        runs = ("plain", "first", "other", "longer", "deep", "init")
        plain, first, other, *equal = (json.loads(seen[f"{kind}-{run}"]) for run in runs)
        for run in equal:
            assert [run[part] for part in PARTS] == [first[part] for part in PARTS], kind
            assert run["random"] != first["random"]
        for part in PARTS:
            assert (first[part] == other[part]) is (part == "program" and kind in FIXED), part
        for run in (first, other, *equal):
            differing = {key for key in plain if run[key] != plain[key]}
            assert differing <= {*PARTS, "random", "argc"}, kind


def test_layout_through_a_script(booted: tuple[Kernel, Guest]) -> None:
    """The reservation gives other addresses than without a shell, equally secret."""
    kernel, guest = booted
    if kernel[1] == UML:
        return
    for kind in ("static", "glibc", "musl", "no-pie", "static-pie"):
        runs = ("plain", "script", "script-longer", "script-deep", "script-other")
        plain, first, longer, deep, other = (
            json.loads(guest.values[f"where_{kind}-{run}"]) for run in runs
        )
        for run in (longer, deep):
            assert [run[part] for part in PARTS] == [first[part] for part in PARTS], kind
        for part in PARTS:
            assert (first[part] == other[part]) is (part == "program" and kind in FIXED), part
        differing = {key for key in plain if first[key] != plain[key]}
        assert differing <= {*PARTS, "random", "argc"}, kind


def test_layout_of_32_bit_programs(booted: tuple[Kernel, Guest]) -> None:
    """The same, where the kernel runs such programs: Debian's and those built here do."""
    kernel, guest = booted
    for kind in NARROW:
        runs = ("plain", "first", "other", "deep", "script", "script-deep")
        texts = [guest.values.get(f"where_{kind}-{run}") for run in runs]
        if kernel[1] in (*ARM64, UML):
            assert texts == [None] * len(runs)
            continue
        plain, first, other, deep, script, script_deep = (json.loads(text or "") for text in texts)
        for one, again in ((first, deep), (script, script_deep)):
            assert [one[part] for part in PARTS] == [again[part] for part in PARTS], kind
            assert one["random"] != again["random"]
        assert (first["program"] == other["program"]) is (kind in FIXED), kind
        # Of so few secret bits, those of one part may be alike.
        assert [first[part] for part in PARTS[1:]] != [other[part] for part in PARTS[1:]], kind
        for run in (first, other, deep, script, script_deep):
            differing = {key for key in plain if run[key] != plain[key]}
            assert differing <= {*PARTS, "random", "argc"}, kind


def test_layout_without_overcommitment(booted: tuple[Kernel, Guest]) -> None:
    """The same addresses with vm.overcommit_memory=2."""
    kernel, guest = booted
    for kind in ("glibc", "i386"):
        if kernel[1] == UML or f"where_{kind}-plain" not in guest.values:
            continue
        for way, other in (("first", "strict"), ("script", "script-strict")):
            loose, strict = (
                json.loads(guest.values[f"where_{kind}-{run}"]) for run in (way, other)
            )
            assert [strict[part] for part in PARTS] == [loose[part] for part in PARTS], kind


def test_processes_under_a_layout(booted: tuple[Kernel, Guest]) -> None:
    """Stacks that overflow, threads, forty keys, and a helper that is killed at random moments."""
    kernel, guest = booted
    values = {k: v for k, v in guest.values.items() if k.startswith(("overflow_", "threads_"))}
    assert {v for k, v in values.items() if k.startswith("overflow_")} == {str(128 + SIGSEGV)}
    assert {v for k, v in values.items() if k.startswith("threads_")} == {"0"}
    assert int(guest.values["started_static-pie"]) == (80 if IS_LONG else 16)
    if kernel[1] == UML:
        return
    ran, killed, other = map(int, guest.values["disturbed_kill-helper"].split())
    # At random moments few may be the ones at which the program ends with its helper.
    assert other == 0 and ran > 0 and (killed > 0 or not IS_LONG)
    ran, killed, other = map(int, guest.values["disturbed_stop"].split())
    assert (killed, other) == (0, 0) and ran > 0


def test_yama(booted: tuple[Kernel, Guest]) -> None:
    """Scopes 0 and 1 let the launcher name its helper, 2 requires CAP_SYS_PTRACE, 3 refuses all."""
    kernel, guest = booted
    seen = {k.partition("_")[2]: v for k, v in guest.values.items() if k.startswith("yama_")}
    if kernel[1] in (PATCHED, ARM64_64K):
        assert not seen, "built without Yama"
        return
    assert set(seen) == {f"{scope}_{user}" for scope in range(4) for user in ("root", "nobody")}
    for name, text in seen.items():
        code, places, said = text.split(" ", maxsplit=2)
        if int(name[0]) < 2 or name == "2_root":
            assert (code, places, said) == ("0", "shared", ""), name
        else:
            assert (code, places, said.count("|")) == ("125", "own", 1), name
            assert "shared layout not applied" in said, name
            assert "kernel.yama.ptrace_scope" in said, name
