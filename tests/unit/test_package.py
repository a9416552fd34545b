"""Location of files that are installed with the package."""

from __future__ import annotations

from pathlib import Path

import pytest

import ksmrun
from ksmrun.model.package import package_file


def test_an_editable_installation_has_two_folders(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was built is in the second; what is nowhere belongs into the first."""
    sources, built = tmp_path / "sources", tmp_path / "built"
    for folder in (sources, built / "libexec"):
        folder.mkdir(parents=True)
    monkeypatch.setattr(ksmrun, "__path__", [str(sources), str(built)])
    assert package_file("libexec") == built / "libexec"
    assert package_file("libexec/ksmrun-exec") == sources / "libexec/ksmrun-exec"
    (built / "libexec" / "ksmrun-exec").touch()
    assert package_file("libexec/ksmrun-exec") == built / "libexec/ksmrun-exec"
    (sources / "libexec").mkdir()
    (sources / "libexec" / "ksmrun-exec").touch()
    assert package_file("libexec/ksmrun-exec") == sources / "libexec/ksmrun-exec"
