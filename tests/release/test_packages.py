"""Debian packages in booted systems: upgrade, removal, and what is left."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.boot import COMMANDS, Guest
from tests.systemd.look import merging
from tests.systemd.roots import built, roots
from tests.systemd.units import installed, show

NAMES = ("ksmrun-exec", "ksmrun")
CONFFILE = "etc/ksmrun/config.toml"
LAUNCHER = "usr/libexec/ksmrun/ksmrun-exec"
GAME, MONITOR = "game.service", "ksmrun-monitor.service"
OVERRIDE = "run/ksmrun-remove-anyway"
# Changes by itself: what dpkg, systemd and its journal note.
OTHERS = ("/var/lib/dpkg", "/var/log", "/var/lib/systemd", "/run/systemd", "/run/log", "/tmp")
# In place of Python, in the middle of the package's postinst.
KILLS_DPKG = "#!/bin/sh\npkill -KILL -x dpkg\nexit 1\n"


@pytest.fixture(scope="module")
def debs(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the packages: new/, and old/ with another version and conffile."""
    folder = tmp_path_factory.mktemp("debs")
    asked = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True)
    for name in NAMES:
        (deb,) = release.glob(f"{name}_*_{asked.stdout.strip()}.deb")
        (folder / "new").mkdir(exist_ok=True)
        (folder / "new" / f"{name}.deb").write_bytes(deb.read_bytes())
        tree = folder / name
        subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
        control = tree / "DEBIAN/control"
        shown = subprocess.run(["dpkg-deb", "--field", deb, "Version"], capture_output=True)
        version = shown.stdout.decode().strip()
        control.write_text(control.read_text().replace(version, f"{version}~old"))
        if name == "ksmrun":
            with (tree / CONFFILE).open("a") as file:
                file.write("# A default that the next version has no more.\n")
        (folder / "old").mkdir(exist_ok=True)
        target = folder / "old" / f"{name}.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, target], check=True)
    return folder


@pytest.fixture(scope="module", params=(252, 257))
def booted(
    request: pytest.FixtureRequest, debs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guest]:
    """Return Debian 12 and 13."""
    root = built(roots(everything=False)[request.param])
    guest = Guest(
        request.param, root, tmp_path_factory.mktemp("guest"), ("--bind", f"{debs}:/debs")
    )
    for name in COMMANDS:
        (guest.folder / "upper/usr/local/bin" / name).unlink()
    guest.boot()
    yield guest
    guest.kill()


@pytest.fixture
def guest(booted: Guest) -> Iterator[Guest]:
    """Return a guest with the new packages, which are purged in the end."""
    before = files(booted)
    dpkg(booted, "--install", *which("new"))
    with installed(booted, {GAME: "[Service]\nExecStart=sleep infinity\n"}):
        yield booted
    dpkg(booted, "--purge", *NAMES)
    assert files(booted) == before


def which(version: str) -> tuple[str, ...]:
    return tuple(f"/debs/{version}/{name}.deb" for name in NAMES)


def dpkg(guest: Guest, *words: str, check: bool = True, path: str = "") -> str:
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    if path:
        environment["PATH"] = f"{path}:/usr/sbin:/usr/bin:/sbin:/bin"
    done = guest.run("dpkg", "--force-unsafe-io", *words, check=check, environment=environment)
    return done.stdout + done.stderr


def files(guest: Guest) -> list[str]:
    skipped = [word for path in OTHERS for word in ("-path", path, "-prune", "-o")]
    places = ("/etc", "/usr", "/var", "/run", "/opt", "/root")
    return sorted(guest.run("find", *places, *skipped, "-print").stdout.splitlines())


def status(guest: Guest) -> list[str]:
    shown = guest.run("dpkg-query", "--show", "--showformat=${db:Status-Status}\n", *NAMES)
    return shown.stdout.split()


def main_pid(guest: Guest, unit: str) -> int:
    return int(show(guest, unit, "MainPID"))


def test_installed_and_found(guest: Guest) -> None:
    assert show(guest, MONITOR, "UnitFileState") == "disabled"
    assert show(guest, MONITOR, "ActiveState") == "inactive"
    for path in (
        *("man/man1/ksmrun.1.gz", "man/man1/ksmrun-exec.1.gz", "man/man8/ksmrun-oci.8.gz"),
        *("bash-completion/completions/ksmrun", "fish/vendor_completions.d/ksmrun.fish"),
        "zsh/vendor-completions/_ksmrun",
    ):
        assert (guest.root / "usr/share" / path).is_file(), path
    assert f"/{LAUNCHER} 0" in guest.run("ksmrun", "wrap", "install").stdout
    refused = guest.run("ksmrun", "wrap", "install", "--remove", check=False)
    assert refused.returncode == 1
    assert "sudo apt remove ksmrun-exec" in refused.stderr
    assert (guest.root / LAUNCHER).exists()
    assert f"launcher /{LAUNCHER}\n" in guest.run("ksmrun", "--version").stdout
    shown = guest.run("ksmrun", "status", check=False).stdout
    assert f"launcher   /{LAUNCHER} 0" in shown
    assert "ksmrun-monitor.service" not in shown, "it sets nothing at boot"


def test_upgrade_and_downgrade_while_a_service_runs_wrapped(guest: Guest) -> None:
    dpkg(guest, "--install", *which("old"))
    guest.run("ksmrun", "wrap", "unit", "--method=wrapper", "--now", GAME)
    with (guest.root / CONFFILE).open("a") as file:
        file.write("# edited\n")
    edited = (guest.root / CONFFILE).read_text()
    guest.run("systemctl", "start", MONITOR)
    game, monitor = main_pid(guest, GAME), main_pid(guest, MONITOR)
    before = (guest.root / LAUNCHER).stat().st_ino

    dpkg(guest, "--force-confdef", "--force-confold", "--install", *which("new"))
    assert (guest.root / CONFFILE).read_text() == edited
    assert (guest.root / LAUNCHER).stat().st_ino != before, "replaced, not overwritten"
    assert main_pid(guest, GAME) == game
    assert main_pid(guest, MONITOR) not in (0, monitor), "it runs, so it was restarted"
    guest.run("systemctl", "restart", GAME)
    assert merging(guest, GAME) == {True}

    guest.run("systemctl", "stop", MONITOR)
    game = main_pid(guest, GAME)
    dpkg(guest, "--force-confdef", "--force-confold", "--install", *which("old"))
    assert (guest.root / CONFFILE).read_text() == edited
    assert main_pid(guest, GAME) == game
    assert main_pid(guest, MONITOR) == 0, "it did not run, so it was not started"
    guest.run("systemctl", "restart", GAME)
    assert merging(guest, GAME) == {True}
    guest.run("ksmrun", "wrap", "unit", "--remove", "--now", GAME)


def test_not_removed_while_a_service_is_wrapped(guest: Guest) -> None:
    guest.run("ksmrun", "wrap", "unit", "--method=wrapper", "--now", GAME)
    guest.run("systemctl", "enable", "--now", MONITOR)
    said = dpkg(guest, "--remove", "ksmrun", check=False)
    assert "sudo ksmrun wrap unit --remove game.service" in said
    assert f"sudo touch /{OVERRIDE}" in said
    # Also without Python.
    said = dpkg(guest, "--force-depends", "--remove", "ksmrun-exec", check=False)
    assert f"/etc/systemd/system/{GAME}.d/" in said
    assert status(guest) == ["installed", "installed"]
    assert show(guest, MONITOR, "ActiveState") == "active"
    assert merging(guest, GAME) == {True}

    (guest.root / "usr/bin/python3").rename(guest.root / "usr/bin/python3-away")
    said = dpkg(guest, "--remove", "ksmrun", check=False)
    assert "cannot tell whether a service is wrapped" in said
    (guest.root / OVERRIDE).touch()
    dpkg(guest, "--remove", "ksmrun")
    (guest.root / "usr/bin/python3-away").rename(guest.root / "usr/bin/python3")
    assert show(guest, MONITOR, "ActiveState") == "inactive"
    assert not (guest.root / OVERRIDE).exists(), "it is for one removal"

    dpkg(guest, "--install", *which("new"))
    guest.run("ksmrun", "wrap", "unit", "--remove", "--now", GAME)
    guest.run("systemctl", "start", MONITOR)
    dpkg(guest, "--remove", *NAMES)
    assert show(guest, MONITOR, "ActiveState") == "inactive"
    assert (guest.root / CONFFILE).exists(), "it goes with the purge"


def test_purge_takes_what_ksmrun_wrote(guest: Guest) -> None:
    (guest.root / "etc/ksmrun/oci.json").write_text("{}")
    guest.run("ksmrun", "layout", "key", "default", "--output", "/run/key")
    guest.run("ksmrun", "run", "--quiet", "--", "true")
    (guest.root / "run/key").unlink()
    assert (guest.root / "run/ksmrun").exists()


def test_interrupted_and_configured_again(guest: Guest) -> None:
    fake = guest.shared / "bin/python3"
    fake.parent.mkdir(exist_ok=True)
    fake.write_text(KILLS_DPKG)
    fake.chmod(0o755)
    dpkg(guest, "--install", *which("old"), check=False, path="/shared/bin")
    assert "half-configured" in status(guest)
    dpkg(guest, "--configure", "--pending")
    assert status(guest) == ["installed", "installed"]
    assert guest.run("ksmrun", "run", "--quiet", "--", "echo", "it runs").stdout == "it runs\n"
