"""Processes grouped and sorted."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ksmrun.model.process import By, Identity, ProcessKsm, Sort
from ksmrun.observe.groups import group, sort_groups


def process(pid: int, who: dict[str, Any] | None = None, **figures: int | None) -> ProcessKsm:
    identity = Identity(
        **{
            **dict.fromkeys(field.name for field in fields(Identity)),
            **{"pid": pid, "name": "web", "uid": 0, "user": "root"},
            **(who or {}),
        }
    )
    known = dict.fromkeys(field.name for field in fields(ProcessKsm)) | figures
    return ProcessKsm(**{**known, "identity": identity, "enabled_by": "prctl"})  # type: ignore[arg-type]


def names(processes: list[ProcessKsm], by: By, sort: Sort = Sort.NAME) -> list[str]:
    return [row.name for row in sort_groups(group(processes, by), sort)]


def test_containers_of_one_name_are_not_mixed_up() -> None:
    """Two users may each have a Podman container of the same name."""
    processes = [
        process(1, {"engine": "podman", "container": "web", "container_id": "a"}),
        process(2, {"engine": "podman", "container": "web", "container_id": "b"}),
        process(3, {"container": "x", "container_id": "c"}),
        process(4),
    ]
    found = ["(no container)", "web (podman)", "web (podman)", "x"]
    assert names(processes, By.CONTAINER) == found
    assert names(processes, By.UNIT) == ["(no unit)"]


def test_sums_and_what_is_not_known() -> None:
    (row,) = group(
        [process(1, pss_bytes=5, maps=7), process(2, maps=9), process(3, pss_bytes=1)], By.USER
    )
    assert (row.pss_bytes, row.maps, row.headroom_maps(10)) == (6, 9, 1)
    assert row.rss_bytes is None
    assert row.headroom_maps(None) is None


def test_order() -> None:
    processes = [
        process(10, maps=3, pss_bytes=None),
        process(9, maps=5, pss_bytes=-1),
        process(100, maps=4, pss_bytes=2),
    ]
    assert names(processes, By.PROCESS) == ["9", "10", "100"]
    assert names(processes, By.PROCESS, Sort.HEADROOM) == ["9", "100", "10"]
    assert names(processes, By.PROCESS, Sort.PSS) == ["100", "9", "10"]
