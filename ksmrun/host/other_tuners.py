"""Other programs and files that set KSM's tunables: they are reported, not overridden."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ksmrun.facts.ksm import FOLDER, ROOT, read_ksm
from ksmrun.facts.pids import all_pids
from ksmrun.facts.stat import command_words
from ksmrun.facts.text import read_text
from ksmrun.model.frozen import dataclass
from ksmrun.model.wrap import HEADER_MARK
from ksmrun.support import foreign

# Programs that set the rate repeatedly, and how to stop that.
PROGRAMS = {
    "ksmtuned": "sudo systemctl disable --now ksmtuned",
    "virt-handler": "set spec.configuration.ksmConfiguration of KubeVirt so that it leaves this "
    "node alone",
    "uksmd": "sudo systemctl disable --now uksmd",
}
INTERPRETERS = ("sh", "bash", "dash")
# Files read at boot.
FOLDERS = (
    *("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"),
    *("etc/tmpfiles.d", "usr/lib/tmpfiles.d", "etc/udev/rules.d", "etc/cron.d", "etc/init.d"),
)
FILES = ("etc/rc.local", "etc/default/qemu-kvm", "etc/sysfs.conf")
SUFFIXES = ("", ".service", ".conf", ".rules")


@dataclass(frozen=True)
class OtherTuner:
    """Another tuner. what: its identity; todo: how to make it leave KSM alone."""

    what: str
    todo: str


def running_tuners() -> list[OtherTuner]:
    """Return the programs that set the rate repeatedly, and would undo ours."""
    found = []
    for pid in all_pids():
        folder = Path(f"/proc/{pid}")
        words = command_words(folder)
        name = (read_text(folder / "comm") or "").rstrip("\n")
        # A kernel thread has no command line, and its name proves nothing.
        known = tuner_name(name, words) if words else None
        if known is not None:
            what = f"{known} (PID {pid}) sets KSM's rate on this host"
            found.append(OtherTuner(what, PROGRAMS[known]))
    return found


def tuner_name(name: str, words: Sequence[str]) -> str | None:
    """Return which of PROGRAMS has this name and command line; None if none."""
    # A script has its interpreter's name until it sets its own: ksmtuned is a bash script.
    program, *arguments = [Path(word).name for word in words]
    script = arguments[:1] if program in INTERPRETERS else []
    return next((each for each in (name, program, *script) if each in PROGRAMS), None)


def advisor(root: Path = ROOT) -> list[OtherTuner]:
    """Return the kernel's advisor, if it is on."""
    mode = read_ksm(root).values.get("advisor_mode", "none")
    if mode == "none":
        return []
    what = f"the kernel's {mode} advisor sets pages_to_scan"
    todo = "sudo ksmrun host set advisor_mode=none, or leave it to the advisor"
    return [OtherTuner(what, todo)]


def boot_files(root: Path = ROOT) -> list[OtherTuner]:
    """Return files not written by ksmrun that set KSM at boot."""
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
