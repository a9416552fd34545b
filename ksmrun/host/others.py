"""Who else sets KSM's tunables on this host: to be named, not fought."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from ksmrun.facts.ksm import FOLDER, ROOT, read_ksm
from ksmrun.facts.process import all_pids
from ksmrun.facts.text import read_text
from ksmrun.model.wrap import HEADER_MARK

# Programs that set the rate again and again, and what ends that.
PROGRAMS = {
    "ksmtuned": "sudo systemctl disable --now ksmtuned",
    "ksmtuned-ng": "sudo systemctl disable --now ksmtuned-ng",
    "virt-handler": "set spec.configuration.ksmConfiguration of KubeVirt so that it leaves this "
    "node alone",
    "uksmd": "sudo systemctl disable --now uksmd",
    "ksmd-tuner": "stop it",
}
# What is read at boot.
FOLDERS = (
    *("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"),
    *("etc/tmpfiles.d", "usr/lib/tmpfiles.d", "etc/udev/rules.d", "etc/cron.d", "etc/init.d"),
)
FILES = ("etc/rc.local", "etc/default/qemu-kvm", "etc/sysfs.conf")
SUFFIXES = ("", ".service", ".conf", ".rules")


@dataclass(frozen=True)
class OtherTuner:
    """what: who it is; todo: how to have it leave KSM alone. is_running: it sets values again and
    again, where the others do it at boot only.
    """

    what: str
    todo: str
    is_running: bool


def other_tuners(root: Path = ROOT) -> list[OtherTuner]:
    """Those that work now: whoever tunes beside them undoes their work and they his."""
    return [*_running(), *_advisor(root)]


def boot_files(root: Path = ROOT) -> list[OtherTuner]:
    """Files of others that set KSM at boot."""
    return [
        OtherTuner(f"/{file.relative_to(root)} sets KSM at boot", "see what it sets", False)
        for file in _candidates(root)
        if _names_ksm(file)
    ]


def _running() -> Iterator[OtherTuner]:
    for process in psutil.process_iter(["name", "cmdline"]) if all_pids() else ():
        words = process.info["cmdline"] or ()
        # A script's name is that of its interpreter until it sets it: ksmtuned is one of bash.
        names = [process.info["name"], *(Path(word).name for word in words[:2])]
        known = next((name for name in names if name in PROGRAMS), None)
        # A kernel thread has no command line, and its name is its own affair.
        if known is not None and words:
            yield OtherTuner(
                f"{known} (PID {process.pid}) sets KSM's rate on this host", PROGRAMS[known], True
            )


def _advisor(root: Path) -> Iterator[OtherTuner]:
    mode = read_ksm(root).values.get("advisor_mode", "none")
    if mode != "none":
        yield OtherTuner(
            f"the kernel's {mode} advisor sets pages_to_scan",
            "sudo ksmrun host set advisor_mode=none, or leave it to the advisor",
            True,
        )


def _candidates(root: Path) -> Iterator[Path]:
    for name in FILES:
        yield root / name
    for name in FOLDERS:
        try:
            yield from sorted(path for path in (root / name).iterdir() if path.suffix in SUFFIXES)
        except OSError:
            continue


def _names_ksm(file: Path) -> bool:
    if not file.is_file():
        return False
    text = read_text(file) or ""
    return f"/{FOLDER}" in text and not text.startswith(HEADER_MARK)
