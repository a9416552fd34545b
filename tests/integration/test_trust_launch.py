"""Launches in trust domains: two never merge at once, each starts, and the loser knows to whom."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from compiled import compile_to
from folders import let_all_in
from volume import volume
from waiting import LAST_RESORT_SECONDS

HERE = Path(__file__).parent
TRUSTING = HERE.parent / "common/trusting.sh"
DOMAINS = ("mail", "web")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a program for each domain, and the trust file."""
    folder = let_all_in(tmp_path_factory.mktemp("domains"))
    compile_to(folder / "web", ["gcc", "-O1", HERE / "programs/holds.c"])
    shutil.copy(folder / "web", folder / "mail")
    rules = (f'[domain.{name}]\nexecutables = ["{folder}/{name}"]\n' for name in DOMAINS)
    (folder / "trust.toml").write_text("\n".join(rules))
    return folder


class Trusting:
    """Runs commands where the folder's trust file is the host's, and nothing else merges."""

    def __init__(self, folder: Path, ksmrun: str, launcher: str) -> None:
        self.folder, self.ksmrun, self.launcher = folder, ksmrun, launcher

    def __call__(self, *command: str) -> subprocess.CompletedProcess[str]:
        words = [str(TRUSTING), str(self.folder / "trust.toml"), *command]
        return subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=LAST_RESORT_SECONDS
        )

    def script(self, text: str) -> list[str]:
        """Run lines of shell, with functions `launch DOMAIN` and `hold DOMAIN`; return its output.

        A held program runs until the script ends.
        """
        head = f"""
            exec 2>&1
            launch() {{ {self.ksmrun} run --domain $1 $2 -- {self.folder}/$1 </dev/null |
                grep -v 'KSM is off'; }}
            hold() {{
                mkfifo {self.folder}/in.$$ {self.folder}/out.$$
                {self.ksmrun} run --quiet --domain $1 -- {self.folder}/$1 \\
                    <{self.folder}/in.$$ >{self.folder}/out.$$ &
                exec 8>{self.folder}/in.$$ 9<{self.folder}/out.$$
                rm {self.folder}/in.$$ {self.folder}/out.$$
                read said <&9 && echo "$1 $said"
            }}
        """
        done = self("sh", "-c", f"{head}\n{text}")
        return [line for line in done.stdout.splitlines() if "KSM is off" not in line]


@pytest.fixture
def trusting(folder: Path, ksmrun: str, launcher: str) -> Trusting:
    return Trusting(folder, ksmrun, launcher)


def test_two_domains_race(trusting: Trusting) -> None:
    launches = volume(1000)
    race = HERE / "support/domain_race.py"
    done = trusting(sys.executable, str(race), trusting.ksmrun, str(trusting.folder), str(launches))
    seen = json.loads(done.stdout)
    assert seen["wrong"] == [], seen
    assert sum(seen["merged"].values()) + sum(seen["lost"].values()) == launches
    assert all(seen[what].get(name) for what in ("merged", "lost") for name in ("web", "mail")), (
        seen
    )


def test_one_merges_and_the_other_does_not(trusting: Trusting) -> None:
    lines = trusting.script("""
        hold web
        launch web
        launch mail
        launch mail --require
        exec 8>&-
        wait
        launch mail
    """)
    held, own, lost, not_merging, strict, after = lines
    assert (held, own, not_merging, after) == ("web 1", "1", "0", "1")
    for line in (lost, strict):
        assert "of trust domain web merges" in line and "ksmrun detach" in line
    assert "starts anyway" in lost and "not started" in strict


def test_check_says_what_a_launch_would_do(trusting: Trusting) -> None:
    """And claims nothing."""
    check = f"{trusting.ksmrun} check --domain"
    lines = trusting.script(f"""
        look() {{ {check} $1 -- {trusting.folder}/$1 | grep -m1 'trust domain' || echo none; }}
        look mail
        ls /run/ksmrun/trust 2>/dev/null | grep state || echo unclaimed
        hold web
        look web
        look mail
        echo x >/run/ksmrun/trust/state
        look web
        exec 8>&-
        wait
    """)
    free, claimed, held, own, lost, damaged = lines
    assert (claimed, held) == ("unclaimed", "web 1")
    assert "mail may merge now" in free and "web may merge now" in own
    assert "of trust domain web merges" in lost and "damaged" in damaged


def test_a_claim_waits_for_a_launch(trusting: Trusting) -> None:
    """Between the look at the state and the flag nobody gets the host for another domain."""
    calls = "-e trace=openat,prctl -e inject=prctl:delay_enter=1000000"
    slow = f"strace -qq -o {trusting.folder}/trace {calls}"
    command = f"{trusting.launcher} --quiet --domain=web -- {trusting.folder}/web"
    lost, merges, not_merging = trusting.script(f"""
        launch web >/dev/null
        sleep 1000 | {slow} {command} >{trusting.folder}/slow &
        until grep -sq '"state"' {trusting.folder}/trace; do sleep 0.01; done
        {{ launch mail; }} >{trusting.folder}/claimed
        until [ -s {trusting.folder}/slow ]; do sleep 0.01; done
        cat {trusting.folder}/slow {trusting.folder}/claimed
    """)
    assert (merges, not_merging) == ("1", "0")
    assert "of trust domain web merges" in lost


HELD = """
    launch web
    setpriv --reuid 1000 --clear-groups flock {mode} /run/ksmrun/trust/lock sleep 1000 &
    until grep -q FLOCK /proc/locks; do sleep 0.01; done
    {launcher} --domain=web -- {program} </dev/null
    {launcher} --require --domain=web -- {program} </dev/null
    echo $?
"""


def test_a_lock_that_anybody_shares(trusting: Trusting) -> None:
    """It stops claims for a time, but no launch."""
    values = {"launcher": trusting.launcher, "program": f"{trusting.folder}/web"}
    assert trusting.script(HELD.format(mode="-s", **values)) == ["1", "1", "1", "0"]


def test_a_lock_that_somebody_keeps_alone(trusting: Trusting) -> None:
    """Any user can do that: it costs a bounded wait and the merging, and the line names them."""
    values = {"launcher": trusting.launcher, "program": f"{trusting.folder}/web"}
    first, told, unmerged, strict, code = trusting.script(HELD.format(mode="-x", **values))
    assert (first, unmerged, code) == ("1", "0", "125")
    for line in (told, strict):
        assert "PID " in line and "holds the lock" in line


def test_damaged_states(trusting: Trusting) -> None:
    lines = trusting.script(f"""
        launch web
        cd /run/ksmrun/trust
        try() {{ {trusting.launcher} --domain=web -- {trusting.folder}/web </dev/null; }}
        cp state kept
        echo ksmrun-trust 2 >state; try
        sed 's/^boot.*/boot 1/' kept >state; try
        cp kept state; chmod 666 state; try
        chmod 644 state; chown 1000 state; try
        rm state; mkfifo -m 644 state; try
        rm state; ln -s kept state; try
        rm state; truncate -s 1T state; try
        rm state; cp kept state; rm lock; try
        mkfifo -m 644 lock; try
        rm lock; touch lock; chmod 777 .; try
        chmod 755 .; try
    """)
    first, *others, last = lines
    assert (first, last) == ("1", "1")
    said, merged = others[::2], others[1::2]
    assert set(merged) == {"0"}
    whys = ["another version", "another boot", "only root", "only root", "regular file"]
    whys += ["ymbolic link", "damaged", "lock: No such file", "regular file", "only root"]
    for line, why in zip(said, whys, strict=True):
        assert why in line and "to do: " in line, line
        # A claim refuses a damaged state.
        assert ("trust release" in line) is (why == "damaged"), line


def test_the_lock_is_not_passed_on(trusting: Trusting) -> None:
    """The program has the descriptors that it would have, and holds no lock."""
    first, wrapped, direct, held, locks = trusting.script(f"""
        launch web
        {trusting.launcher} --quiet --domain=web -- sh -c 'ls /proc/self/fd | wc -l' <&-
        sh -c 'ls /proc/self/fd | wc -l' <&-
        hold web
        grep -c FLOCK /proc/locks
    """)
    assert (first, held, locks) == ("1", "web 1", "0")
    assert wrapped == direct


def test_where_python_cannot_plan(trusting: Trusting) -> None:
    """The front passes the domain on, so that the launcher looks at the state."""
    first, *others = trusting.script("""
        launch web
        ulimit -v 30000
        launch mail
        KSMRUN_DOMAIN=mail launch web
        launch web
    """)
    assert first == "1"
    merged = [line for line in others if line in ("0", "1")]
    # An option comes before its variable.
    assert merged == ["0", "1", "1"]
    assert sum("domain web merges on this host, and not mail" in line for line in others) == 1
