"""Who else sets KSM's tunables on this host: to be named, not fought."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ksmrun.facts.identity import command_words
from ksmrun.facts.ksm import FOLDER, ROOT, read_ksm
from ksmrun.facts.process import all_pids
from ksmrun.facts.text import read_text
from ksmrun.model.wrap import HEADER_MARK
from ksmrun.support import foreign

# Programs that set the rate again and again, and what ends that.
PROGRAMS = {
    "ksmtuned": "sudo systemctl disable --now ksmtuned",
    "virt-handler": "set spec.configuration.ksmConfiguration of KubeVirt so that it leaves this "
    "node alone",
    "uksmd": "sudo systemctl disable --now uksmd",
}
INTERPRETERS = ("sh", "bash", "dash")
# What is read at boot.
FOLDERS = (
    *("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"),
    *("etc/tmpfiles.d", "usr/lib/tmpfiles.d", "etc/udev/rules.d", "etc/cron.d", "etc/init.d"),
)
FILES = ("etc/rc.local", "etc/default/qemu-kvm", "etc/sysfs.conf")
SUFFIXES = ("", ".service", ".conf", ".rules")


@dataclass(frozen=True)
class OtherTuner:
    """what: who it is; todo: how to have it leave KSM alone."""

    what: str
    todo: str


def running_tuners() -> list[OtherTuner]:
    """Programs that set it again and again: whoever tunes beside them undoes their work."""
    found = []
    for pid in all_pids():
        folder = Path(f"/proc/{pid}")
        words = command_words(folder)
        name = (read_text(folder / "comm") or "").rstrip("\n")
        # A kernel thread has no command line, and its name is its own affair.
        known = tuner_name(name, words) if words else None
        if known is not None:
            what = f"{known} (PID {pid}) sets KSM's rate on this host"
            found.append(OtherTuner(what, PROGRAMS[known]))
    return found


def tuner_name(name: str, words: Sequence[str]) -> str | None:
    """Which of PROGRAMS a process of this name and command line is; None for another."""
    # A script's name is that of its interpreter until it sets it: ksmtuned is one of bash.
    program, *arguments = [Path(word).name for word in words]
    script = arguments[:1] if program in INTERPRETERS else []
    return next((each for each in (name, program, *script) if each in PROGRAMS), None)


def advisor(root: Path = ROOT) -> list[OtherTuner]:
    """The kernel's own, where it is on."""
    mode = read_ksm(root).values.get("advisor_mode", "none")
    if mode == "none":
        return []
    what = f"the kernel's {mode} advisor sets pages_to_scan"
    todo = "sudo ksmrun host set advisor_mode=none, or leave it to the advisor"
    return [OtherTuner(what, todo)]


def boot_files(root: Path = ROOT) -> list[OtherTuner]:
    """Files of others that set KSM at boot."""
    return [
        OtherTuner(f"/{file.relative_to(root)} sets KSM at boot", "see what it sets")
        for file in _candidates(root)
        if _names_ksm(file)
    ]


def _candidates(root: Path) -> Iterator[Path]:
    for name in FILES:
        yield root / name
    for name in FOLDERS:
        try:
            yield from sorted(path for path in (root / name).iterdir() if path.suffix in SUFFIXES)
        except OSError:
            continue


def _names_ksm(file: Path) -> bool:
    text = foreign.read_text(file) or ""
    return f"/{FOLDER}" in text and not text.startswith(HEADER_MARK)
