"""The state file that launchers without Python read, its lock, and what a claim makes of both."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ksmrun.facts.ksm import ROOT
from ksmrun.host.record import current_boot_id
from ksmrun.host.trust_state import (
    STATE_BYTES_MAX,
    claiming,
    read_trust_state,
    write_trust_state,
)
from ksmrun.launch import trust_claim
from ksmrun.model.errors import KsmrunError
from ksmrun.model.trust import Merger, Mergers, Traits

BOOT_ID = current_boot_id(ROOT)
GOOD = f"ksmrun-trust 1\nboot {BOOT_ID}\ndomain web\n"
FILE = "[domain.web]\nusers = [1001]\n[domain.db]\nusers = [1002]\n[exempt]\nusers = [1003]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run/trust"


def claimed(folder: Path) -> str | None:
    found = read_trust_state(folder)
    return None if found is None else found.domain


def test_what_is_written_is_read(folder: Path) -> None:
    assert read_trust_state(folder) is None
    before = os.umask(0o077)
    try:
        with claiming(folder):
            write_trust_state("web", folder)
    finally:
        os.umask(before)
    assert (folder / "state").read_text() == GOOD
    assert claimed(folder) == "web"
    with claiming(folder):
        write_trust_state(None, folder)
    found = read_trust_state(folder)
    assert found is not None
    assert found.domain is None
    # Whatever the umask is, launchers of other users read both.
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}
    assert modes == {"state": 0o644, "lock": 0o644}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD[:-1],
        GOOD + "\n",
        GOOD + "domain db\n",
        GOOD.replace("1\n", "2\n", 1),
        GOOD.replace("web", "Web"),
        GOOD.replace("web", ""),
        GOOD.replace("web", "a" * 64),
        GOOD.replace("web", "wéb"),
        GOOD.replace(BOOT_ID, "x"),
        GOOD.replace("\n", "\r\n"),
        GOOD + "#" * STATE_BYTES_MAX,
        "\0" * 100,
    ],
)
def test_a_damaged_file_is_refused(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / "state").write_bytes(text.encode())
    with pytest.raises(KsmrunError, match="is damaged") as error:
        read_trust_state(folder)
    assert "trust release" in error.value.todo


@given(st.binary(max_size=STATE_BYTES_MAX + 10))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_any_content_is_refused_or_none(folder: Path, content: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state").write_bytes(content)
    with pytest.raises(KsmrunError, match="is damaged"):
        read_trust_state(folder)


def test_a_file_that_others_can_write_or_that_is_none_is_refused(folder: Path) -> None:
    folder.mkdir(parents=True)
    state = folder / "state"
    state.write_text(GOOD)
    state.chmod(0o666)
    with pytest.raises(KsmrunError, match="can be written by others"):
        read_trust_state(folder)
    state.rename(folder / "other")
    state.symlink_to(folder / "other")
    with pytest.raises(KsmrunError, match="cannot read"):
        read_trust_state(folder)
    state.unlink()
    os.mkfifo(state)
    with pytest.raises(KsmrunError, match="not a regular file"):
        read_trust_state(folder)


def test_the_state_of_another_boot_counts_as_none(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "state").write_text(GOOD.replace(BOOT_ID, "0" * 36))
    assert read_trust_state(folder) is None


@pytest.mark.parametrize("how", [fcntl.LOCK_EX, fcntl.LOCK_SH])
def test_who_keeps_the_lock_is_named_in_time(folder: Path, how: int) -> None:
    with claiming(folder):
        pass
    lock = os.open(folder / "lock", os.O_RDONLY)
    try:
        fcntl.flock(lock, how)
        with (
            pytest.raises(KsmrunError, match=f"is locked by PID {os.getpid()} for more"),
            claiming(folder, wait_seconds=0.05),
        ):
            raise AssertionError("it was locked")
    finally:
        os.close(lock)
    with claiming(folder, wait_seconds=0):
        pass


def test_launches_wait_while_a_claim_looks(folder: Path) -> None:
    with claiming(folder):
        lock = os.open(folder / "lock", os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(lock)


def test_a_folder_or_lock_of_others_is_not_used(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.raises(KsmrunError, match="can be written by others"), claiming(folder):
        pass
    folder.chmod(0o755)
    (folder / "lock").write_text("")
    (folder / "lock").chmod(0o666)
    with pytest.raises(KsmrunError, match="lock can be written by others"), claiming(folder):
        pass
    (folder / "lock").unlink()
    (folder / "lock").symlink_to("/dev/null")
    with pytest.raises(KsmrunError, match="cannot write"), claiming(folder):
        pass


def test_a_killed_claim_leaves_the_old_state_and_no_lock(folder: Path) -> None:
    with claiming(folder):
        write_trust_state("web", folder)
    text = (
        "import os, pathlib, signal\n"
        "from ksmrun.host import trust_state\n"
        f"with trust_state.claiming(pathlib.Path({str(folder)!r})):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", text], check=False)
    assert done.returncode == -9
    assert claimed(folder) == "web"
    with claiming(folder, wait_seconds=0):
        pass


@pytest.fixture
def merging(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """Return PIDs and users of the processes that merge, to be filled by the test."""
    them: dict[int, int] = {}

    def found(_details: object) -> Mergers:
        return Mergers(
            tuple(
                Merger(pid, pid, f"p{pid}", Traits(uids=(uid,) * 3), "prctl")
                for pid, uid in them.items()
            )
        )

    monkeypatch.setattr(trust_claim, "find_mergers", found)
    return them


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "trust.toml"
    found.write_text(FILE)
    return found


def test_a_claim_is_taken_over_once_nothing_of_the_other_merges(
    folder: Path, file: Path, merging: dict[int, int]
) -> None:
    assert trust_claim.claim("web", file, folder) == "trust domain web may merge now"
    merging[5] = 1001
    assert trust_claim.claim("web", file, folder) == "trust domain web may merge already"
    with pytest.raises(KsmrunError, match=r"db may not merge now: PID 5 .p5. of trust domain web"):
        trust_claim.claim("db", file, folder)
    assert claimed(folder) == "web"
    del merging[5]
    assert "in place of web" in trust_claim.claim("db", file, folder)
    assert claimed(folder) == "db"


def test_a_process_of_no_domain_refuses_a_claim_unless_it_is_exempt(
    folder: Path, file: Path, merging: dict[int, int]
) -> None:
    merging[7] = 1003
    trust_claim.claim("web", file, folder)
    merging[8] = 4242
    with pytest.raises(KsmrunError, match=r"PID 8 .p8. merges, and is in no trust domain"):
        trust_claim.claim("web", file, folder)


def test_a_renamed_domain_is_claimed_while_its_processes_merge(
    folder: Path, file: Path, merging: dict[int, int]
) -> None:
    trust_claim.claim("web", file, folder)
    merging[5] = 1001
    file.write_text(FILE.replace("web", "www"))
    with pytest.raises(KsmrunError, match="there is no trust domain web"):
        trust_claim.claim("web", file, folder)
    assert "in place of web" in trust_claim.claim("www", file, folder)


def test_a_damaged_state_refuses_claims_until_it_is_released(
    folder: Path, file: Path, merging: dict[int, int]
) -> None:
    assert not merging
    trust_claim.claim("web", file, folder)
    (folder / "state").write_text("x")
    with pytest.raises(KsmrunError, match="is damaged"):
        trust_claim.claim("web", file, folder)
    with pytest.raises(KsmrunError, match="is damaged"):
        trust_claim.release("web", folder)
    assert trust_claim.release(None, folder) == "no trust domain may merge now"
    trust_claim.claim("web", file, folder)
    assert "db was not claimed" in trust_claim.release("db", folder)
    assert claimed(folder) == "web"
    assert "web is released" in trust_claim.release("web", folder)
    assert claimed(folder) is None


def test_without_a_file_a_claim_is_refused(folder: Path, file: Path) -> None:
    file.unlink()
    with pytest.raises(KsmrunError, match=r"there is no .*trust.toml, so there are no"):
        trust_claim.claim("web", file, folder)
    assert not folder.exists()
