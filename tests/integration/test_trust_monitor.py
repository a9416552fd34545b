"""The monitor beside real programs of several trust domains: alerts, metrics, --enforce."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from waiting import LAST_RESORT_SECONDS, wait_until

from .support.monitors import Monitor, scrape_file
from .support.trust import TrustHost, merging, trust_host
from .test_trust import DB, EXEMPT, FILE, NOBODYS, WEB

pytestmark = [
    pytest.mark.own_pids,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root sees all who merge"),
]
Watch = Callable[..., Monitor]
# Of one version, or of the two of a hybrid host.
CGROUPS = next(filter(Path.is_dir, (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))))


@pytest.fixture
def host(tmp_path: Path, ksmrun: str) -> Iterator[TrustHost]:
    with trust_host(tmp_path, ksmrun) as found:
        found.write(FILE)
        yield found


@pytest.fixture
def watch(host: TrustHost, tmp_path: Path) -> Iterator[Watch]:
    running: list[Monitor] = []

    def begin(*options: str) -> Monitor:
        log = tmp_path / "monitor.log"
        words = [host.ksmrun_path, "monitor", "--interval=0.2", "--log=json", *options]
        with log.open("w") as output:
            process = subprocess.Popen(
                host.command(*words),
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "KSMRUN_STATE_DIR": str(tmp_path / "state")},
                text=True,
            )
        running.append(Monitor(process, log))
        return running[-1]

    yield begin
    for each in running:
        each.process.send_signal(signal.SIGTERM)
        assert each.process.wait(timeout=LAST_RESORT_SECONDS) == 0, each.log.read_text()


def merges(pid: int) -> bool:
    text = Path(f"/proc/{pid}/ksm_stat").read_text()
    return "ksm_merge_any: yes" in text or "ksm_mergeable: yes" in text


def test_a_foreign_merger_is_told_until_it_ends(
    host: TrustHost, watch: Watch, tmp_path: Path
) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    with merging("prctl", WEB), merging("madvise", DB) as db, merging("prctl", EXEMPT):
        monitor = watch(f"--textfile={folder}")
        found = monitor.wait_for(kind="foreign-merger", state="raised")
        assert found["pid"] == str(db)
        assert found["domain"] == "db"
        assert "is in trust domain db, while web merges" in found["message"]
        assert merges(db)
        for domain in ("web", "db", "(exempt)"):
            line = f'ksmrun_trust_domain_processes{{domain="{domain}"}} 1.0'
            wait_until(lambda line=line: line in scrape_file(folder), line)  # type: ignore[misc]
        assert 'ksmrun_trust_domain_processes{domain="(none)"} 0.0' in scrape_file(folder)
        host.ksmrun("detach", str(db))
        monitor.wait_for(kind="foreign-merger", state="cleared")
        raised = [each for each in monitor.lines() if each.get("state") == "raised"]
        assert [each["pid"] for each in raised if each["kind"] == "foreign-merger"] == [str(db)]


def test_enforcing_ends_what_is_foreign_and_spares_the_rest(host: TrustHost, watch: Watch) -> None:
    host.write(FILE + "[domain.both]\ngroups = [4005]\n[domain.other]\nusers = [4005]\n")
    with (
        merging("prctl", WEB) as web,
        merging("prctl", DB) as db,
        merging("madvise", NOBODYS) as nobodys,
        merging("prctl", EXEMPT) as exempt,
        merging("prctl", 4005) as both,
    ):
        monitor = watch("--enforce")
        wait_until(lambda: not merges(db) and not merges(nobodys))
        monitor.wait_for(kind="foreign-merger", state="cleared", pid=str(db))
        assert merges(web)
        assert merges(exempt)
        assert merges(both)
        text = monitor.log.read_text()
        assert f"detached: PID {db} (python3" in text
        assert "flag-lost" not in text
        assert "is in 2 trust domains, both and other" in text


def test_the_claimed_domain_stays_though_it_began_later(host: TrustHost, watch: Watch) -> None:
    with merging("prctl", WEB) as web:
        host.ksmrun("trust", "claim", "web")
        host.ksmrun("trust", "release")
        with merging("prctl", DB) as db:
            script = (
                'printf "ksmrun-trust 1\\nboot %s\\ndomain db\\n" '
                '"$(cat /proc/sys/kernel/random/boot_id)" > /run/ksmrun/trust/state'
            )
            subprocess.run(host.command("sh", "-c", script), check=True)
            watch("--enforce")
            wait_until(lambda: not merges(web))
            assert merges(db)


def test_a_damaged_state_or_file_enforces_nothing(host: TrustHost, watch: Watch) -> None:
    host.ksmrun("trust", "claim", "web")
    script = "echo x > /run/ksmrun/trust/state"
    subprocess.run(host.command("sh", "-c", script), check=True)
    with merging("prctl", NOBODYS) as nobodys:
        monitor = watch("--enforce")
        monitor.wait_for(kind="foreign-merger", state="raised")
        wait_until(lambda: "/run/ksmrun/trust/state is damaged" in monitor.log.read_text())
        assert merges(nobodys)
        host.write(FILE).chmod(0o666)
        wait_until(lambda: "can be written by others" in monitor.log.read_text())
        monitor.wait_for(kind="foreign-merger", state="cleared")
        assert merges(nobodys)
        host.write(FILE)
        host.ksmrun("trust", "release")
        wait_until(lambda: not merges(nobodys))


def test_a_process_that_moves_to_another_cgroup_is_in_another_domain(
    host: TrustHost, watch: Watch
) -> None:
    group = CGROUPS / f"ksmrun-test-{os.getpid()}.slice"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("cgroups cannot be made here")
    try:
        host.write(f"[domain.web]\nunits = ['{group.name}']\n")
        with merging("prctl", NOBODYS) as pid:
            monitor = watch()
            monitor.wait_for(kind="foreign-merger", state="raised", pid=str(pid))
            (group / "cgroup.procs").write_text(str(pid))
            monitor.wait_for(kind="foreign-merger", state="cleared", pid=str(pid))
            assert host.look()["processes"][0]["domains"] == ["web"]
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()
