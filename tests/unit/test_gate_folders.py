"""What a gate is given to judge: only whole and sound results can be a "go"."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ksmrun.cli import run_app
from ksmrun.report.gate import EXIT_CODES, GO, STOP, UNSURE

from .test_report import Save, save

__all__ = ["save"]
GATE = "--gate=pss<=-80%"
WRONG = 2
Make = Callable[[Save, Path], list[Path]]


def whole(save: Save, _: Path) -> list[Path]:
    return [save()]


def empty(_: Save, folder: Path) -> list[Path]:
    (folder / "empty").mkdir()
    return [folder / "empty"]


def missing(_: Save, folder: Path) -> list[Path]:
    return [folder / "results-[0-9]*"]


def a_file(_: Save, folder: Path) -> list[Path]:
    (folder / "file").touch()
    return [folder / "file"]


def of_another_program(save: Save, _: Path) -> list[Path]:
    one, two = save("one"), save("two")
    file = two / "experiment.json"
    file.write_text(file.read_text().replace("./server", "./other"))
    return [one, two]


def empty_beside_a_whole_one(save: Save, folder: Path) -> list[Path]:
    return [save(), *empty(save, folder)]


def twice(save: Save, _: Path) -> list[Path]:
    return [save(rounds=3)] * 2


def its_copy(save: Save, folder: Path) -> list[Path]:
    one = save(rounds=3)
    return [one, shutil.copytree(one, folder / "copy")]


def cut_in_the_first_round(save: Save, _: Path) -> list[Path]:
    one = save()
    for file in (one / "rounds").iterdir():
        if file.name != "001-off.json":
            file.unlink()
    return [one]


def cut_in_a_later_round(save: Save, _: Path) -> list[Path]:
    one = save(rounds=9)
    for file in (one / "rounds").glob("00[89]-*"):
        file.unlink()
    return [one]


def a_file_cut(save: Save, _: Path) -> list[Path]:
    one = save()
    file = one / "rounds/006-on.json"
    file.write_text(file.read_text()[:-20])
    return [one]


def a_file_emptied(save: Save, _: Path) -> list[Path]:
    one = save()
    (one / "experiment.json").write_text("")
    return [one]


def without_the_metric(save: Save, _: Path) -> list[Path]:
    one = save()
    for file in (one / "rounds").glob("*.json"):
        data = json.loads(file.read_text())
        del data["metrics"]["p99"]
        file.write_text(json.dumps(data))
    return [one]


def of_another_host(save: Save, _: Path) -> list[Path]:
    one, two = save("one"), save("two")
    file = two / "experiment.json"
    file.write_text(file.read_text().replace('"cpus": 2', '"cpus": 64'))
    return [one, two]


GIVEN: list[tuple[Make, int, str]] = [
    (whole, EXIT_CODES[GO], "gate pss<=-80%, on: go, the change is -8"),
    (empty, EXIT_CODES[STOP], "No such file or directory; give the folder that"),
    (missing, EXIT_CODES[STOP], "No such file or directory; give the folder that"),
    (a_file, EXIT_CODES[STOP], "No such file or directory; give the folder that"),
    (empty_beside_a_whole_one, EXIT_CODES[STOP], "No such file or directory; give the folder that"),
    (of_another_program, EXIT_CODES[STOP], "differ in command, .*; give folders of the same fleet"),
    (twice, EXIT_CODES[STOP], "hold the same rounds, which would count twice; give each .* once"),
    (its_copy, EXIT_CODES[STOP], "one and .*copy hold the same rounds"),
    (cut_in_the_first_round, EXIT_CODES[STOP], "no complete round yet; continue with: ksmrun ab"),
    (
        cut_in_a_later_round,
        EXIT_CODES[UNSURE],
        "not sure, .*one has 7 of its 9 rounds; continue with `ksmrun ab --resume .*one`",
    ),
    (a_file_cut, EXIT_CODES[STOP], "006-on.json is damaged .*; use the ksmrun that wrote it"),
    (a_file_emptied, EXIT_CODES[STOP], "experiment.json is damaged .*; use the ksmrun that"),
    (without_the_metric, WRONG, "there is no metric p99; there are "),
    (
        of_another_host,
        EXIT_CODES[GO],
        "hosts with different CPUs or memory are taken together: 2 CPUs, 24 GiB; 64 CPUs, 24 GiB; "
        "to do: report each kind of host by itself, too",
    ),
]


@pytest.mark.parametrize(("make", "code", "said"), GIVEN, ids=[each[0].__name__ for each in GIVEN])
def test_a_folder(
    save: Save,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Make,
    code: int,
    said: str,
) -> None:
    folders = map(str, make(save, tmp_path))
    more = ["--gate=p99<=+5%"] if make is without_the_metric else []
    assert run_app(["report", *folders, GATE, *more]) == code
    output = capsys.readouterr()
    # A note is wrapped for people.
    text = " ".join((output.out + output.err).split())
    assert re.search(said, text), text
