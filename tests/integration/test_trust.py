"""`ksmrun trust` beside real programs that merge: by prctl, by madvise, and of several users."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksmrun.facts.process import has_any_marked_memory

from .support.trust import TrustHost, as_uid, merging, trust_host

pytestmark = [
    pytest.mark.own_pids,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root sees all who merge"),
]
WEB, DB, EXEMPT, NOBODYS = 4001, 4002, 4003, 4004
FILE = f"""
[domain.web]
users = [{WEB}]
[domain.db]
users = [{DB}]
[exempt]
users = [{EXEMPT}]
"""


@pytest.fixture
def host(tmp_path: Path, ksmrun: str) -> Iterator[TrustHost]:
    with trust_host(tmp_path, ksmrun) as found:
        found.write(FILE)
        yield found


def test_every_merging_process_is_shown_with_its_domain(host: TrustHost) -> None:
    with (
        merging("prctl", WEB) as web,
        merging("madvise", DB) as db,
        merging("prctl", NOBODYS) as nobodys,
        merging("prctl", EXEMPT) as exempt,
        merging("none", WEB) as idle,
    ):
        document = host.look()
        assert document["schema"] == "ksmrun-trust-1"
        found = {each["pid"]: each for each in document["processes"]}
        assert found.keys() == {web, db, nobodys, exempt}
        assert idle not in found
        assert [found[pid]["domains"] for pid in (web, db, nobodys)] == [["web"], ["db"], []]
        assert [found[pid]["enabled_by"] for pid in (web, db)] == ["prctl", "madvise"]
        # Web's began first.
        assert (document["merges"], document["claimed"]) == ("web", None)
        assert found[web]["wrong"] is None
        assert found[db]["wrong"] == "is in trust domain db, while web merges"
        assert found[nobodys]["wrong"] == "is in no trust domain"
        assert found[exempt]["wrong"] is None
        assert not any(found[pid]["asked"] for pid in (web, db, nobodys))
        table = host.ksmrun("trust", "show")
        assert "3 processes merge without --domain and without a claim" in table
        assert f"sudo {host.ksmrun_path} detach {db}" in table
        done = host.try_ksmrun("trust", "check")
        assert done.returncode == 1
        assert f"PID {db} (python3) merges, and is in trust domain db, while web" in done.stdout


MARKS_ITS_LAST = """
import ctypes, mmap, time
libc = ctypes.CDLL(None, use_errno=True)
pages = 4000
memory = mmap.mmap(-1, pages * 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
for page in range(0, pages, 2):
    assert libc.mprotect(ctypes.c_void_p(start + page * 4096), 4096, 1) == 0
assert libc.madvise(ctypes.c_void_p(start + (pages - 1) * 4096), 4096, 12) == 0
print("ready", flush=True)
time.sleep(1000)
"""


def test_where_no_counter_shows_it_the_last_mapping_does() -> None:
    """Before Linux 6.14, where smaps alone tells."""
    with subprocess.Popen(
        ["/usr/bin/python3", "-c", MARKS_ITS_LAST], stdout=subprocess.PIPE, text=True
    ) as late:
        try:
            assert late.stdout is not None
            assert late.stdout.readline() == "ready\n"
            with merging("prctl") as by_flag, merging("none") as idle:
                found = [
                    has_any_marked_memory(Path(f"/proc/{pid}")) for pid in (late.pid, by_flag, idle)
                ]
                assert found == [True, True, False]
        finally:
            late.kill()


def test_the_command_that_a_finding_names_ends_it(host: TrustHost) -> None:
    with merging("prctl", NOBODYS) as by_flag, merging("madvise", NOBODYS) as by_mark:
        findings = json.loads(host.try_ksmrun("trust", "check", "--json").stdout)["findings"]
        assert len(findings) == 2
        for each, pid in zip(findings, (by_flag, by_mark), strict=True):
            assert each["todo"] == f"run: sudo ksmrun detach {pid}"
            host.ksmrun("detach", str(pid))
        assert "is valid, and nothing merges" in host.ksmrun("trust", "check")


def test_a_claim_loses_to_who_merges_and_says_to_whom(host: TrustHost) -> None:
    assert host.ksmrun("trust", "claim", "web") == "trust domain web may merge now\n"
    with merging("prctl", WEB) as web:
        done = host.try_ksmrun("trust", "claim", "db")
        assert done.returncode == 1
        assert f"PID {web} (python3) of trust domain web merges" in done.stderr
        assert host.look()["claimed"] == "web"
        assert "only web merges" in host.ksmrun("trust", "check")
    assert "in place of web" in host.ksmrun("trust", "claim", "db")
    with merging("madvise", NOBODYS):
        assert "in no trust domain" in host.try_ksmrun("trust", "claim", "db").stderr
    assert host.ksmrun("trust", "release", "web") == "trust domain web was not claimed\n"
    assert host.ksmrun("trust", "release", "db") == "trust domain db is released\n"
    assert host.look()["claimed"] is None


def test_a_domain_that_is_renamed_while_it_merges(host: TrustHost) -> None:
    host.ksmrun("trust", "claim", "web")
    with merging("prctl", WEB):
        host.write(FILE.replace("web", "www"))
        done = host.try_ksmrun("trust", "check")
        assert done.returncode == 1
        assert "web is claimed, and /etc/ksmrun/trust.toml no longer has it" in done.stdout
        assert "there is no trust domain web" in host.try_ksmrun("trust", "claim", "web").stderr
        host.ksmrun("trust", "claim", "www")
        host.ksmrun("trust", "check")


def test_each_look_goes_by_the_file_as_it_is(host: TrustHost) -> None:
    with merging("prctl", WEB) as web:
        host.write(f"[domain.web]\nunits = ['web.service']\n[domain.db]\nusers = [{WEB}]\n")
        (found,) = host.look()["processes"]
        assert (found["pid"], found["domains"]) == (web, ["db"])
        host.write(f"[domain.web]\nusers = [{WEB}]\n[domain.db]\ngroups = [{WEB}]\n")
        (found,) = host.look()["processes"]
        assert found["domains"] == ["web", "db"]
        assert found["wrong"] == "is in 2 trust domains, web and db"
        done = host.try_ksmrun("trust", "claim", "web")
        assert "is in 2 trust domains" in done.stderr


def test_a_path_in_a_user_namespace_of_the_process_does_not_count(host: TrustHost) -> None:
    program = "/usr/bin/python3*"
    host.write(f"[domain.web]\nexecutables = ['{program}']\n")
    with merging("prctl", WEB) as web:
        (found,) = host.look()["processes"]
        assert (found["pid"], found["domains"]) == (web, ["web"])
    words = ["unshare", "--user", "--map-root-user", "--mount", "/usr/bin/python3", "-c"]
    text = (
        "import ctypes, time\n"
        "assert ctypes.CDLL(None).prctl(67, 1, 0, 0, 0) == 0\n"
        "print('ready', flush=True); time.sleep(1000)"
    )
    with subprocess.Popen(
        [*as_uid(WEB), *words, text], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            (found,) = host.look()["processes"]
            assert found["domains"] == []
        finally:
            process.kill()


def test_a_damaged_state_is_told_and_put_right_by_a_release(host: TrustHost) -> None:
    host.ksmrun("trust", "claim", "web")
    script = "echo x > /run/ksmrun/trust/state"
    subprocess.run(host.command("sh", "-c", script), check=True)
    done = host.try_ksmrun("trust", "check")
    assert "is damaged" in done.stdout
    assert done.returncode == 1
    assert "is damaged" in host.try_ksmrun("trust", "claim", "web").stderr
    host.ksmrun("trust", "release")
    host.ksmrun("trust", "check")


def test_a_file_that_others_can_write_is_refused_by_all(host: TrustHost) -> None:
    host.write(FILE).chmod(0o666)
    for words in (("show",), ("check",), ("claim", "web")):
        done = host.try_ksmrun("trust", *words)
        assert done.returncode == 1
        assert "can be written by others" in done.stderr
        assert "Traceback" not in done.stderr


def test_without_a_file_there_is_nothing_to_claim(host: TrustHost) -> None:
    (host.etc / "trust.toml").unlink()
    for words in (("show",), ("check",), ("claim", "web")):
        done = host.try_ksmrun("trust", *words)
        assert done.returncode == 1
        assert "so there are no trust domains" in done.stderr


def test_a_proposed_file_fits_what_merges(host: TrustHost) -> None:
    with merging("prctl", WEB), merging("madvise", DB):
        host.write(host.ksmrun("trust", "init"))
        found = host.look()
        assert sorted(map(len, (each["domains"] for each in found["processes"]))) == [1, 1]
        assert len(found["domains"]) == 2


def test_somebody_who_keeps_the_lock_is_named(host: TrustHost) -> None:
    host.ksmrun("trust", "claim", "web")
    text = (
        "import fcntl, time\n"
        "lock = open('/run/ksmrun/trust/lock')\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "print('ready', flush=True); time.sleep(1000)"
    )
    words = [*as_uid(NOBODYS), "/usr/bin/python3", "-c", text]
    with subprocess.Popen(host.command(*words), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            done = host.try_ksmrun("trust", "claim", "web")
            assert done.returncode == 1
            assert f"is locked by PID {process.pid} " in done.stderr
        finally:
            process.kill()
    host.ksmrun("trust", "claim", "web")


def test_one_node_keeps_nobody_apart(host: TrustHost) -> None:
    if Path("/sys/devices/system/node/has_memory").read_text().strip() != "0":
        pytest.skip("this host has more than one memory node")
    done = host.try_ksmrun("trust", "plan")
    assert done.returncode == 1 and "cannot be kept apart by memory nodes" in done.stderr
    assert "to do" not in done.stdout


def test_domains_on_nodes(host: TrustHost, tmp_path: Path) -> None:
    """As on a host with a second node, where all memory is still on the first."""
    nodes = tmp_path / "nodes"
    for number in (0, 1):
        (nodes / f"node{number}").mkdir(parents=True)
        (nodes / f"node{number}/meminfo").write_text(f"Node {number} MemTotal: 8388608 kB\n")
        (nodes / f"node{number}/cpulist").write_text(f"{number}\n")
    (nodes / "has_memory").write_text("0-1\n")
    subprocess.run(
        host.command("mount", "--bind", str(nodes), "/sys/devices/system/node"), check=True
    )
    host.write(
        f'[domain.web]\nusers = [{WEB}]\nnodes = "0"\n'
        f'[domain.db]\nusers = [{DB}]\nunits = ["db.slice"]\n'
    )
    with merging("prctl", WEB), merging("prctl", DB) as db:
        done = host.try_ksmrun("trust", "plan", "--json")
        assert done.returncode == 1
        document = json.loads(done.stdout)
        assert document["schema"] == "ksmrun-trust-plan-1" and not document["apart"]
        assert [each["nodes"] for each in document["domains"]] == ["0", "1"]
        assert all(each["used_bytes"] > 0 for each in document["domains"])
        found = [each["what"] for each in document["findings"]]
        assert any("merge_across_nodes=1" in what for what in found)
        assert any(f"PID {db} (python3) of db has" in what for what in found)
        assert (
            "sudo systemctl set-property db.slice AllowedMemoryNodes=1 AllowedCPUs=1"
            in document["steps"]
        )
        table = host.try_ksmrun("trust", "plan")
        assert table.returncode == 1 and "cost: db: 8192 MiB" in table.stdout
