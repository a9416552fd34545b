"""Reports of saved experiments: verdicts, pooling, pictures, the page."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ksmrun.commands.report import report
from ksmrun.model.errors import KsmrunError
from ksmrun.model.experiment import SCHEMA, Arm, ArmResult, ExperimentPlan, Metric, Ready
from ksmrun.options.output import Format
from ksmrun.options.report import ReportOptions
from ksmrun.report.plots import own_numbers
from ksmrun.report.pool import pooled
from ksmrun.report.results import load, samples_of
from ksmrun.report.verdict import judge

MIB = 1 << 20
HOST: dict[str, Any] = {
    **{"ksmrun": "0.1.0", "kernel": "6.18.0 <b>", "cpus": 2, "mem_total_bytes": 24 << 30},
    **{"swap_total_bytes": 0, "thp_enabled": "madvise", "max_map_count": 65530},
    **{"page_bytes": 4096, "ksm": {}, "started": "2026-01-01T00:00:00+00:00"},
}
Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write an experiment like `ksmrun ab`: arms that save a share, with some noise."""

    def write(name: str = "one", rounds: int = 6, saved: float = 0.85, **changes: Any) -> Path:
        folder = tmp_path / name
        (folder / "rounds").mkdir(parents=True)
        plan = ExperimentPlan(
            command=("./server", "--port", "{port:31000}", "<script>"),
            copies=8,
            rounds=rounds,
            arms=(Arm("off", ("--merge=off",)), Arm("on", ())),
            ready=Ready("after", "0", 1.0),
            metrics=(Metric("p99", "output", "p99: (.*)"),),
            **changes,
        )
        text = json.dumps({"schema": SCHEMA, "host": HOST, "plan": asdict(plan)})
        (folder / "experiment.json").write_text(text)
        source = random.Random(name)
        for number in range(1, rounds + 1):
            for arm, share in (("off", 1.0), ("on", 1 - saved)):
                size = (1485 * share + source.gauss(0, 5)) * MIB
                metrics = {"pss_bytes": size, "p99": 20 + source.gauss(0, 1), "maps_max": 80.0}
                metrics |= {"settle_seconds": 0.0 if arm == "off" else 38.0}
                metrics |= {"ksmd_cpu_seconds": 0.0 if arm == "off" else 0.6}
                result = ArmResult(
                    *(number, arm, "2026-01-01T00:00:00", 1.0, True, 2.0, 10.0, metrics, 0.01),
                    warnings=(("noisy <i>", "wait"),) if arm == "on" else (),
                )
                file = folder / f"rounds/{number:03d}-{arm}.json"
                file.write_text(json.dumps({"schema": SCHEMA, **asdict(result)}))
                samples = [
                    {
                        "elapsed_seconds": float(second),
                        "phase": "hold",
                        "pss_bytes": size * second / 9,
                        "own": {"p99": [source.expovariate(1 / 20)]},
                    }
                    for second in range(10)
                ]
                lines = "".join(json.dumps(sample) + "\n" for sample in samples)
                # The last one is truncated, as by a full disk.
                file.with_suffix(".samples.jsonl").write_text(lines + '{"elapsed')
        return folder

    return write


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_the_table_shows_the_whole_interval(
    save: Save, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    folder = save()
    report(ReportOptions(folders=(folder,)))
    lines = capsys.readouterr().out.splitlines()
    (rule,) = [number for number, line in enumerate(lines) if set(line) == {"─"}]
    assert len(lines[rule]) <= width
    first = next(number for number, line in enumerate(lines) if line.startswith("PSS"))
    # In the narrowest it takes two lines.
    row = lines[first] + (lines[first + 1] if width == 60 else "")
    assert len(re.findall(r"-1\.2\d", row)) == 3
    assert " to " in row
    assert " yes" in row
    report(ReportOptions(folders=(folder,), format=Format.TSV))
    assert "\t95 % interval\t" in capsys.readouterr().out.splitlines()[0]


def test_the_verdict(save: Save) -> None:
    (verdict,) = judge(load(save()))
    assert re.fullmatch(
        r"on saves 1\.2\d GiB of 1\.45 GiB \(85% ± [01]%\), after 38 s, for 0\.6 s of ksmd's CPU; "
        r"p99: no change shown \([+-]\d+% ± \d+%\)",
        verdict.sentence,
    )


def test_without_scipy_and_without_the_primary(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KsmrunError, match="primary metric nope is not in every round; repeat"):
        judge(load(save("other", primary="nope")))
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(KsmrunError, match="need SciPy, which is not installed; run: pip install"):
        judge(load(save()))


def test_chance_and_few_rounds(save: Save) -> None:
    (verdict,) = judge(load(save("none", saved=0.0)))
    assert "no change of PSS shown (" in verdict.sentence
    (verdict,) = judge(load(save("few", rounds=2)))
    assert "too few to be certain" in verdict.sentence
    assert "p99: too few rounds to tell" in verdict.sentence
    assert not any(each.is_certain for each in verdict.differences)


def test_distributions_have_all_arms(save: Save) -> None:
    """The load of one arm ended before it was measured: only its sums are there."""
    folder = save()
    for file in (folder / "rounds").glob("*-on.samples.jsonl"):
        file.write_text(file.read_text().replace('"p99"', '"other"'))
    saved = load(folder)
    found = own_numbers(saved, "p99")
    assert found == {arm: [each["p99"] for each in saved.rounds[arm]] for arm in ("off", "on")}
    # A turn more of one arm only is no round.
    (folder / "rounds/006-on.json").unlink()
    assert [len(samples_of(load(folder), arm)) for arm in ("off", "on")] == [5, 5]


def test_several_together(save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = save("one", rounds=3), save("two", rounds=4)
    report(
        ReportOptions(
            folders=(
                one,
                two,
            ),
            as_json=True,
        )
    )
    captured = capsys.readouterr()
    assert json.loads(captured.out)["rounds"] == 7
    assert f"{one}: on saves" in captured.err
    with pytest.raises(KsmrunError, match="differ in hold_seconds"):
        report(
            ReportOptions(
                folders=(
                    one,
                    save("three", hold_seconds=1.0),
                )
            )
        )


class Resources(HTMLParser):
    """Resources that a page would fetch, and its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            # SVG refers to itself.
            is_inside = (value or "").startswith("#")
            if name in ("src", "href", "xlink:href", "data", "poster") and not is_inside:
                self.fetched.append(str(value))


def test_page_and_picture(save: Save, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save()
    png, page = tmp_path / "a.png", tmp_path / "a.html"
    report(ReportOptions(folders=(folder,), png=png, html=page))
    assert "noisy <i> (in 6 turns); to do: wait" in capsys.readouterr().out
    assert png.read_bytes().startswith(b"\x89PNG")
    text = page.read_text()
    found = Resources()
    found.feed(text)
    assert found.fetched == []
    assert {"svg", "table", "h1", "meter"} <= found.tags
    assert "p99, distribution" in text
    assert "at most 80 of 65530 (0.1%)" in text
    # The line that repeats it.
    assert "ksmrun ab --copies=8 --rounds=6 --arm=off=--merge=off --arm=on= " in text
    assert "--stagger=1.3 -- ./server --port" in text
    assert not found.tags & {"script", "img", "iframe", "i", "b"}
    assert "&lt;script&gt;" in text
    assert "prefers-color-scheme: dark" in text
    # The same results give the same page.
    report(ReportOptions(folders=(folder,), html=tmp_path / "b.html"))
    again = (tmp_path / "b.html").read_text()
    identifiers = re.compile(r'(id="|#|url\(#)[a-z0-9]+')
    assert identifiers.sub("", again) == identifiers.sub("", text)


# Appended to a copy of the page: a browser reports how it rendered it.
TELL = "<script>document.title = document.documentElement.scrollWidth - innerWidth</script>"
PHONE_PIXELS = 420


@pytest.mark.long_run
@pytest.mark.parametrize(("scheme", "is_dark"), [("0", True), ("1", False)])
def test_page_on_a_phone(save: Save, tmp_path: Path, scheme: str, is_dark: bool) -> None:
    from matplotlib.image import imread

    page, picture, copy = (tmp_path / name for name in ("a.html", "a.png", "b.html"))
    report(ReportOptions(folders=(save(),), html=page))
    copy.write_text(page.read_text().replace("</html>", f"{TELL}</html>"))
    chromium = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    chromium += [f"--window-size={PHONE_PIXELS},1600", f"--user-data-dir={tmp_path / 'profile'}"]
    chromium += [f"--blink-settings=preferredColorScheme={scheme}"]
    shot = [*chromium, f"--screenshot={picture}", page.as_uri()]
    subprocess.run(shot, capture_output=True, timeout=120, check=True)
    pixels = imread(picture)
    assert pixels.shape[1] == PHONE_PIXELS
    # Most of it is background.
    assert bool(pixels[..., :3].mean() < 0.3) is is_dark
    done = subprocess.run(
        [*chromium, "--dump-dom", copy.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    # Nothing overflows sideways, however wide the tables are.
    assert "<title>0</title>" in done.stdout


def test_what_cannot_be_read(save: Save, tmp_path: Path) -> None:
    with pytest.raises(KsmrunError, match="No such file"):
        load(tmp_path / "nothing")
    folder = save("old")
    (folder / "experiment.json").write_text('{"schema": "ksmrun-ab-0"}')
    with pytest.raises(KsmrunError, match="by another version"):
        load(folder)
    folder = save("cut")
    (folder / "rounds/001-off.json").write_text('{"sche')
    with pytest.raises(KsmrunError, match="is damaged"):
        load(folder)
    with pytest.raises(KsmrunError, match="cannot write"):
        report(ReportOptions(folders=(save("fine"),), png=tmp_path / "no/folder.png"))


def test_what_is_odd(save: Save) -> None:
    """Valid JSON, but with wrong content: reported, whatever it is."""
    changes: list[tuple[str, dict[str, Any]]] = [
        ("experiment.json", {"plan": {}}),
        ("experiment.json", {"plan": []}),
        ("experiment.json", {"host": {}}),
        ("rounds/001-on.json", {"metrics": {"pss_bytes": "x"}}),
        ("rounds/001-on.json", {"metrics": {"pss_bytes": float("nan")}}),
        ("rounds/001-on.json", {"metrics": 5}),
        ("rounds/001-on.json", {"round": "x"}),
        ("rounds/001-on.json", {"warnings": [1]}),
    ]
    for number, (name, change) in enumerate(changes):
        file = save(f"odd-{number}") / name
        file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
        with pytest.raises(KsmrunError, match=r"is damaged|NaN is not a JSON number"):
            report(ReportOptions(folders=(file.parents[name.count("/")],)))
    folder = save("no-dictionary")
    (folder / "experiment.json").write_bytes(b"\xff\xfe[")
    with pytest.raises(KsmrunError, match="is damaged"):
        load(folder)


def test_rate_and_ideal_are_said(save: Save) -> None:
    folder = save()
    file = folder / "experiment.json"
    data = json.loads(file.read_text())
    data["host"]["ksm"] = {"pages_to_scan": 5000, "sleep_millisecs": 20, "advisor_mode": "none"}
    file.write_text(json.dumps(data))
    for result in (folder / "rounds").glob("*-on.json"):
        data = json.loads(result.read_text())
        data["metrics"] |= {"merged_bytes": 97.0, "mergeable_bytes": 100.0}
        result.write_text(json.dumps(data))
    (verdict,) = judge(load(folder))
    assert ", after 38 s of scanning 5000 pages each 20 ms, for 0.6 s" in verdict.sentence
    assert "; 97% of what could merge has merged; p99: no change shown (" in verdict.sentence


def test_pooled_hosts_and_memory(save: Save, tmp_path: Path) -> None:
    one, two = save("one", rounds=2), save("two", rounds=2)
    file = two / "experiment.json"
    file.write_text(file.read_text().replace("6.18.0 <b>", "6.12.0"))
    page = tmp_path / "a.html"
    report(
        ReportOptions(
            folders=(
                one,
                two,
            ),
            html=page,
        )
    )
    assert "6.18.0 &lt;b&gt;; 6.12.0" in page.read_text()
    assert len(samples_of(pooled([load(one), load(two)]), "on")) == 4


def test_no_point_is_cut_off_at_the_edge(save: Save) -> None:
    """In pixels: a point is round, so its middle has to stay off the edge by its radius."""
    from matplotlib.collections import PathCollection

    from ksmrun.report.plots import draw_memory, draw_rounds, figure

    # Rounds that are nearly equal, where a margin for their spread is none for a point.
    saved = load(save(saved=0.0))
    for metric in ("pss_bytes", "p99", "ksmd_cpu_seconds"):
        whole = figure(1)
        axes = whole.subplots()
        draw_rounds(axes, saved, metric)
        whole.draw_without_rendering()
        box = axes.get_window_extent()
        for points in axes.findobj(PathCollection):
            radius = points.get_sizes()[0] ** 0.5 / 2 * whole.dpi / 72
            for _, y in axes.transData.transform(points.get_offsets()):
                assert y + radius <= box.ymax
    whole = figure(1)
    axes = whole.subplots()
    draw_memory(axes, saved)
    whole.draw_without_rendering()
    highest = max(float(line.get_ydata().max()) for line in axes.lines)  # type: ignore[union-attr]
    assert axes.get_ylim()[1] > highest * 1.02


LONG = "a_word_without_any_blank_" * 12


@pytest.mark.long_run
@pytest.mark.parametrize("width", [390, 1000])
def test_long_words_stay_on_the_page(save: Save, tmp_path: Path, width: int) -> None:
    folder = save()
    arm = LONG[:64]
    text = (folder / "experiment.json").read_text().replace('"on"', json.dumps(arm))
    (folder / "experiment.json").write_text(text)
    for file in (folder / "rounds").glob("*-on.*"):
        text = file.read_text().replace('"on"', json.dumps(arm)).replace("noisy <i>", LONG)
        file.with_name(file.name.replace("-on.", f"-{arm}.")).write_text(text)
        file.unlink()
    page = tmp_path / "page.html"
    report(ReportOptions(folders=(folder,), html=page))
    # chromium itself says how wide the page wants to be; it has no window below 500 pixels.
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"<iframe id=f src='page.html' style='width:{width}px;height:900px;border:0'></iframe>"
        "<script>onload = () => { const page = f.contentDocument.documentElement;"
        "document.title = page.clientWidth + ' ' + page.scrollWidth; }</script>"
    )
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    done = subprocess.run(
        ["chromium", *options, f"--user-data-dir={tmp_path}/profile", "--dump-dom", frame.as_uri()],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"<title>(\d+) (\d+)</title>", done.stdout)
    assert found is not None, done.stdout
    assert int(found[2]) <= int(found[1]) <= width


@pytest.mark.parametrize(
    ("factor", "words"), [(0.5, r"\d+% ± \d+% less"), (1.5, r"\d+% ± \d+% more")]
)
def test_the_sentence_says_more_or_less(save: Save, factor: float, words: str) -> None:
    folder = save()
    for file in (folder / "rounds").glob("*-on.json"):
        data = json.loads(file.read_text())
        data["metrics"]["p99"] = 20 * factor + data["metrics"]["p99"] % 0.1
        file.write_text(json.dumps(data))
    (verdict,) = judge(load(folder))
    assert re.search(rf"; p99 {words}", verdict.sentence), verdict.sentence
