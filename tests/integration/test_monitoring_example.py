"""examples/monitoring with Debian's Prometheus, which scrapes the real monitor."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ports import free_port
from waiting import LAST_RESORT_SECONDS, wait_until

from ksmrun.host.temporary_tunables import borrowed
from ksmrun.model.watch import ALERT_KINDS

from .conftest import FASTEST, start_equal_programs, stop

EXAMPLE = Path(__file__).parents[2] / "examples" / "monitoring"
RULES, RULES_TEST = EXAMPLE / "ksmrun.rules.yml", EXAMPLE / "ksmrun.rules.test.yml"
DASHBOARD = EXAMPLE / "ksmrun.dashboard.json"
# Number of equal programs.
NAME = Path(sys.executable).name
GROUPINGS = ("command", "unit", "container")
# Values of a dashboard's variables; a rate needs two scrapes.
VARIABLES = {"$instance": ".*", "$__rate_interval": "10s"}


def get(url: str, **arguments: str) -> str:
    query = f"?{urllib.parse.urlencode(arguments)}" if arguments else ""
    with urllib.request.urlopen(url + query, timeout=60) as answer:
        return str(answer.read().decode())


def answers(url: str) -> bool:
    try:
        return bool(get(url))
    except (urllib.error.URLError, ConnectionError):
        return False


def promtool(*arguments: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    command = ["promtool", *map(str, arguments)]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


@contextlib.contextmanager
def running(command: Sequence[str | Path], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run it until the tests end, however they end."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", *command], stdout=file, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(LAST_RESORT_SECONDS)


@dataclass(frozen=True)
class Prometheus:
    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that the query gives now."""
        answer = json.loads(get(f"{self.url}/api/v1/query", query=expression))
        assert answer["status"] == "success"
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def firing(self) -> dict[str, dict[str, str]]:
        """Return the text of each alert, by name."""
        alerts = json.loads(get(f"{self.url}/api/v1/alerts"))["data"]["alerts"]
        return {
            alert["labels"]["alertname"]: alert["annotations"]
            for alert in alerts
            if alert["state"] == "firing"
        }


def configure(folder: Path, target: str) -> Path:
    """Write the example's own files, except for the address and the times, which suit humans."""
    rules = RULES.read_text()
    assert "for: 2m" in rules
    (folder / RULES.name).write_text(rules.replace("for: 2m", "for: 1s"))
    config = yaml.safe_load((EXAMPLE / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (scrape,) = config["scrape_configs"]
    scrape["static_configs"][0]["targets"] = [target]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    return file


@pytest.mark.host_ksm
def test_real_monitor_and_prometheus(launcher: str, ksmrun: str, tmp_path: Path) -> None:
    target, port = f"127.0.0.1:{free_port()}", free_port()
    prometheus = Prometheus(f"http://127.0.0.1:{port}")
    state = f"KSMRUN_STATE_DIR={tmp_path / 'state'}"
    watch = ["env", state, ksmrun, "monitor", "--listen", target, "--interval", "1"]
    watch += ["--pss-interval", "1"]
    collect = [
        "prometheus",
        f"--config.file={configure(tmp_path, target)}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    programs = start_equal_programs(launcher, 3)
    try:
        with (
            running(watch, tmp_path / "monitor.log") as monitor,
            running(collect, tmp_path / "prometheus.log"),
        ):
            with borrowed({"run": "0"}, tmp_path):
                wait_until(lambda: answers(f"{prometheus.url}/-/ready"))
                wait_until(lambda: "KsmrunKsmdOff" in prometheus.firing())
                said = prometheus.firing()["KsmrunKsmdOff"]
                assert said["summary"].startswith(f"{target}: ksmd is off")
                assert "sudo ksmrun host on" in said["description"]
                is_fine(get(f"http://{target}/metrics"))
                every_panel_shows_something(prometheus)
            with borrowed(FASTEST, tmp_path):
                wait_until(lambda: "KsmrunKsmdOff" not in prometheus.firing())
                # Two of three equal copies merge; each counts what it shares.
                merged = f'ksmrun_merged_bytes{{command="{NAME}"}} > 3 * 8 * 2^20'
                wait_until(lambda: shows(prometheus, merged))
                # Once PSS has been read again, a copy takes little, and three have room for one.
                name = "instance_namespace_command:ksmrun"
                for quantity, mib in (("copy", 8), ("request", 20)):
                    told = f'{name}_{quantity}_bytes:mean{{command="{NAME}"}} < {mib} * 2^20'
                    wait_until(functools.partial(shows, prometheus, told))
            monitor.send_signal(signal.SIGKILL)
            wait_until(lambda: "KsmrunMonitorGone" in prometheus.firing())
    finally:
        stop(programs)
    assert "level=error" not in (tmp_path / "prometheus.log").read_text()


def is_fine(metrics: str) -> None:
    """Check a file with promtool, which knows Prometheus' conventions."""
    done = promtool("check", "metrics", text=metrics)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def queries() -> Iterator[tuple[str, str]]:
    """Return each panel's title and query."""
    dashboard = json.loads(DASHBOARD.read_text())
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]
    for panel in dashboard["panels"]:
        for asked in panel.get("targets", ()):
            yield panel["title"], asked["expr"]


def every_panel_shows_something(prometheus: Prometheus) -> None:
    for title, text in queries():
        for grouping in GROUPINGS:
            asked = text.replace("$by", grouping)
            for name, value in VARIABLES.items():
                asked = asked.replace(name, value)
            assert "$" not in asked, title
            with contextlib.suppress(AssertionError):
                wait_until(functools.partial(shows, prometheus, asked))
            assert shows(prometheus, asked), f"{title} is empty: {asked}"


def shows(prometheus: Prometheus, expression: str) -> bool:
    return bool(prometheus.query(expression))


def test_rules(tmp_path: Path) -> None:
    """Each kind has a rule, and the rules' own test fails as soon as one of them is wrong."""
    for arguments in (("rules", RULES), ("config", EXAMPLE / "prometheus.yml")):
        assert promtool("check", *arguments).returncode == 0
    done = promtool("test", "rules", RULES_TEST)
    assert done.returncode == 0, done.stdout + done.stderr
    rules = yaml.safe_load(RULES.read_text())
    all_of_them = [rule for group in rules["groups"] for rule in group["rules"]]
    asked = {re.sub(r"[^{]*\{kind=\"(.*)\".*", r"\1", rule["expr"]) for rule in all_of_them}
    assert asked >= set(ALERT_KINDS)
    shutil.copy(RULES_TEST, tmp_path)
    for rule in all_of_them:
        right = rule["expr"]
        for wrong in (f"{right} and vector(1) < 0", "up >= 0"):
            rule["expr"] = wrong
            (tmp_path / RULES.name).write_text(yaml.safe_dump(rules))
            assert promtool("test", "rules", tmp_path / RULES_TEST.name).returncode != 0, wrong
        rule["expr"] = right
