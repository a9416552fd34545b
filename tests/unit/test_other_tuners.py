"""Other programs that set KSM's tunables, at boot and later."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksmrun.host.other_tuners import boot_files, tuner_name


def test_files_that_set_ksm_at_boot(tmp_path: Path) -> None:
    for name, text in (
        ("etc/tmpfiles.d/ksm.conf", "w /sys/kernel/mm/ksm/run - - - - 1\n"),
        ("etc/systemd/system/fast.service", "ExecStart=sh -c 'echo 9 >/sys/kernel/mm/ksm/run'\n"),
        ("etc/tmpfiles.d/ours.conf", "# Written by `ksmrun host on`\nw /sys/kernel/mm/ksm/run"),
        ("etc/systemd/system/other.service", "ExecStart=true\n"),
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "etc/systemd/system/folder.service").mkdir()
    found = [each.what.split()[0] for each in boot_files(tmp_path)]
    assert found == ["/etc/systemd/system/fast.service", "/etc/tmpfiles.d/ksm.conf"]


@pytest.mark.parametrize(
    ("name", "words", "found"),
    [
        ("bash", ["/bin/bash", "/usr/sbin/ksmtuned"], "ksmtuned"),
        ("ksmtuned", ["/bin/bash", "/usr/sbin/ksmtuned"], "ksmtuned"),
        ("virt-handler", ["/usr/bin/virt-handler", "--port"], "virt-handler"),
        ("uksmd", ["uksmd"], "uksmd"),
        ("vim", ["vim", "/usr/sbin/ksmtuned"], None),
        ("grep", ["grep", "ksmtuned"], None),
        ("bash", ["-bash"], None),
        ("bash", ["bash", "-c", "ksmtuned"], None),
    ],
)
def test_who_else_tunes(name: str, words: list[str], found: str | None) -> None:
    assert tuner_name(name, words) == found
